package commit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"moat/internal/persist"
)

// backFile has the name of a change that was taken back but whose journal cannot
// be told so, since its disk takes nothing any more. It is forgotten at the next
// boot, as the rules of the kernel are.
const backFile = "/run/moat/taken-back"

// takenBack is what backFile has.
type takenBack struct {
	ID     string `json:"id"`
	Ending ending `json:"ending"`
}

// rememberBack writes backFile, for a journal that could not be closed. Without
// it every start of a program would take the change back once more, and with it
// what was done since.
func (e *Env) rememberBack(p *pending, n ending, why error) error {
	if !p.isBack {
		n.Notes = append(append(n.Notes, p.harm...), fmt.Sprintf("%s stays until its disk takes changes again: %v", p.dir, cause(why)))
	}
	path := e.Root + backFile
	text, err := json.Marshal(takenBack{p.ID, n})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = persist.Writer{}.WriteFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("the old rules are back, but that cannot be written down: %w", errors.Join(why, err))
	}
	p.state, p.isBack, p.ended = stateRolledBack, true, n
	return nil
}

// recallBack sees if a journal is one that could not be closed.
func (e *Env) recallBack(p *pending) {
	var t takenBack
	text, err := os.ReadFile(e.Root + backFile)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err == nil && t.ID == p.ID {
		p.state, p.isBack, p.ended = stateRolledBack, true, t.Ending
	}
}
