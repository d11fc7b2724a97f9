package text

import "strings"

// tokenize splits a line of a restore file into p.words and their columns, the
// first byte of line being column base. Words end at blanks, tabs and after a
// closing quotation mark; a mark anywhere in a word begins a quotation, in
// which a backslash takes the next byte as it is. Outside quotations neither
// backslash nor apostrophe mean anything. Words without quotations, and whole
// quotations without a backslash, are parts of line and not copied.
func (p *parser) tokenize(line string, base int) error {
	p.words, p.columns = p.words[:0], p.columns[:0]
	for i := 0; i < len(line); {
		if c := line[i]; c == ' ' || c == '\t' {
			i++
			continue
		}
		start := i
		for i < len(line) && line[i] != ' ' && line[i] != '\t' && line[i] != '"' {
			i++
		}
		word := line[start:i]
		if i < len(line) && line[i] == '"' {
			quoted, end, ok := quotation(line, i+1)
			if !ok {
				p.columns = append(p.columns, base+i)
				p.at = len(p.columns) - 1
				return p.fail("the quotation that begins here does not end")
			}
			if word == "" {
				word = quoted
			} else {
				word += quoted
			}
			i = end
		}
		p.words = append(p.words, word)
		p.columns = append(p.columns, base+start)
	}
	return nil
}

// quotation reads from after a quotation mark to the one that ends it; end is
// the byte after that.
func quotation(line string, start int) (text string, end int, ok bool) {
	i := start
	for i < len(line) && line[i] != '"' && line[i] != '\\' {
		i++
	}
	if i < len(line) && line[i] == '"' {
		return line[start:i], i + 1, true
	}
	var b strings.Builder
	b.WriteString(line[start:i])
	for ; i < len(line); i++ {
		switch line[i] {
		case '"':
			return b.String(), i + 1, true
		case '\\':
			i++
			if i == len(line) {
				return "", i, false
			}
		}
		b.WriteByte(line[i])
	}
	return "", i, false
}

// field takes the next word between blanks of s.
func field(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}
