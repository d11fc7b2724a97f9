package commit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"moat/internal/persist"
	"moat/internal/rule"
)

const (
	historyDir = stateDir + "/history" // a folder an entry, named by its number
	entryFile  = "entry.json"
	// mostEntries are kept, the newest.
	mostEntries = 50
)

// Entry is a ruleset that was applied on the timer.
type Entry struct {
	Number   int       `json:"number"`
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Program  string    `json:"program"`
	Who      Who       `json:"who"`
	Reason   string    `json:"reason,omitempty"`
	Sources  []string  `json:"sources"`  // the files, as they were named
	Families []string  `json:"families"` // that each of them was for
	Ended    string    `json:"ended"`    // "pending" while it waits

	dir string
}

// History gives the entries, the newest first. One that cannot be read hides no
// others: they come with the error.
func History(root string) ([]Entry, error) {
	numbers, err := entryNumbers(root)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, n := range numbers {
		entry, failed := readEntry(root, n)
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		list = append(list, entry)
	}
	return list, err
}

// ErrNoEntry says that the history has no such entry.
var ErrNoEntry = errors.New("\"moat history\" lists those that are kept")

// HistoryEntry gives one entry and its rules; a family that the program had no
// business with has none.
func HistoryEntry(root string, number int) (entry Entry, texts map[rule.Family][]byte, err error) {
	entry, err = readEntry(root, number)
	if errors.Is(err, fs.ErrNotExist) {
		return entry, nil, fmt.Errorf("there is no ruleset %d: %w", number, ErrNoEntry)
	}
	if err != nil {
		return entry, nil, err
	}
	texts = make(map[rule.Family][]byte)
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		path := filepath.Join(entry.dir, rulesFile("rules", f))
		sealed, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		text, isWhole := unseal(sealed)
		if err == nil && !isWhole {
			err = fmt.Errorf("%s is damaged: %w", path, errNotWhole)
		}
		if err != nil {
			return entry, nil, err
		}
		texts[f] = text
	}
	if len(texts) == 0 {
		return entry, nil, fmt.Errorf("%s is damaged: its rules are missing", entry.dir)
	}
	return entry, texts, nil
}

// entryNumbers lists the numbers, the highest first.
func entryNumbers(root string) (numbers []int, err error) {
	names, err := os.ReadDir(root + historyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, name := range names {
		if n, notOne := strconv.Atoi(name.Name()); notOne == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return cmp.Compare(b, a) })
	return numbers, err
}

func entryPath(root string, number int) string { return root + historyDir + "/" + strconv.Itoa(number) }

func readEntry(root string, number int) (entry Entry, err error) {
	dir := entryPath(root, number)
	text, err := os.ReadFile(filepath.Join(dir, entryFile))
	if err != nil {
		return entry, err
	}
	if err := json.Unmarshal(text, &entry); err != nil {
		return entry, fmt.Errorf("%s: %w", dir, err)
	}
	entry.Number, entry.dir = number, dir
	return entry, nil
}

// file writes how a change ended into the history, where its entry is made when
// the change was made.
func (e *Env) file(p *pending, ended string) error {
	numbers, err := entryNumbers(e.Root)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		entry, err := readEntry(e.Root, n)
		if err == nil && entry.ID == p.ID {
			entry.Ended = ended
			return entry.write()
		}
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[0] + 1
	}
	if err := e.addEntry(p, next, ended); err != nil {
		return err
	}
	for i, n := range numbers {
		if i+1 >= mostEntries {
			err = errors.Join(err, os.RemoveAll(entryPath(e.Root, n)))
		}
	}
	return err
}

// addEntry makes a new entry, unless nothing was applied.
func (e *Env) addEntry(p *pending, number int, ended string) error {
	entry := Entry{ID: p.ID, Time: p.Since, Program: p.Program, Who: p.Who, Reason: p.Reason, Ended: ended}
	for _, part := range p.Parts {
		entry.Sources = append(entry.Sources, part.Source)
		entry.Families = append(entry.Families, part.Family.Name())
	}
	files := make(map[string][]byte)
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		text, err := p.text("new", f)
		if err != nil {
			return err
		}
		if text != nil {
			files[rulesFile("rules", f)] = seal(text)
		}
	}
	if len(files) == 0 {
		return nil
	}
	if err := os.MkdirAll(e.Root+historyDir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(e.Root+historyDir, ".entry.*.new")
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(entry, "", "\t")
	if err == nil {
		files[entryFile] = text
		err = writeNew(dir, files)
	}
	if err == nil {
		err = os.Rename(dir, entryPath(e.Root, number))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return persist.SyncDir(e.Root + historyDir)
}

func (entry *Entry) write() error {
	text, err := json.MarshalIndent(entry, "", "\t")
	if err != nil {
		return err
	}
	return persist.Writer{}.WriteFile(filepath.Join(entry.dir, entryFile), text)
}

// HistoryFiles gives what has to be applied to have an entry's rules again: also
// tables that it did not have are then as it had them, empty.
func HistoryFiles(env Env, entry Entry, texts map[rule.Family][]byte) (files []File, err error) {
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		text, isThere := texts[f]
		if !isThere {
			continue
		}
		live, err := env.ready().saved(f)
		if err != nil {
			return nil, err
		}
		text = withEmptied(savedText(parseSaved(text), true), live)
		if len(text) > 0 {
			files = append(files, File{Family: f, Name: fmt.Sprintf("history %d %s", entry.Number, f.Name()), Text: text})
		}
	}
	return files, nil
}
