package persist

import "time"

// What the tests of package persist_test see beyond the exported names.

// Steps are the moments of a write, by name.
func Steps() []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = string(s)
	}
	return names
}

// WithHook gives w a function that is called with each moment's name.
func (w Writer) WithHook(f func(string)) Writer {
	w.after = func(s step) { f(string(s)) }
	return w
}

// StaleAfter is staleAfter.
const StaleAfter time.Duration = staleAfter

// ParseAssignments gives name=value lines, or isPlain false.
func ParseAssignments(text string) (lines []string, isPlain bool) {
	found, isPlain := parseAssignments(text)
	for _, a := range found {
		lines = append(lines, a.name+"="+a.value)
	}
	return lines, isPlain
}
