// Command generate writes the generated files of the repository; run it in its
// root, as `make generate` does.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"moat/internal/manual"
)

func main() {
	for _, f := range manual.Files() {
		if err := write(f); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}

func write(f manual.File) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(f.Path, []byte(f.Text), 0o644)
}
