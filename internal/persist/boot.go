package persist

import "moat/internal/rule"

// SaveText makes a text in save format what the next boot loads: the rules file
// of the family below root, its backup and its last good version, as a save of
// the same rules would leave them.
func SaveText(root string, f rule.Family, text []byte) error {
	r := &run{root: root}
	path := r.rulesPath(f)
	if len(text) == 0 {
		text = []byte(noTables)
	}
	if err := r.writeRules(path, text); err != nil {
		return err
	}
	return keepGood(r.writer, path, text)
}
