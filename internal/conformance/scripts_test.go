package conformance

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sampleEvery is how many cases have one among them for which nothing is spared: see TestCommandsAnswerAlike and isSample.
const sampleEvery = 25

// TestCommandsAnswerAlike runs every case of testdata/*.cmds. In one of each 25, Moat's programs are started as processes, and nft
// shows what is left; in the others Moat's run within the test, and nft is asked only about what the comparison of the kernel's objects
// does not have: elements of sets.
func TestCommandsAnswerAlike(t *testing.T) {
	for _, file := range caseFiles(t, "cmds") {
		scripts, err := parseScripts(file)
		if err != nil {
			t.Fatal(err)
		}
		for shard := range slices.Chunk(scripts, shardSize) {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				p := newPair(t)
				for i, s := range shard {
					t.Run(s.commands[0].place, func(t *testing.T) { p.script(t, s, i%sampleEvery == 0) })
				}
			})
		}
	}
}

// script runs the commands of one case, comparing each answer and the state after each, and both programs' save and nft's view at
// the end (nft's where it is a sample; save not for a case that ends in a command of nft's: there the listing is not what counts). It stops at the first command whose state differs, since what follows would only repeat that.
func (p *pair) script(t *testing.T, s script, isSample bool) {
	p.reset(t, s.setup)
	for _, c := range s.commands {
		c.started = isSample
		if _, same := p.both(t, c); !same {
			t.Logf("%s: the answers differ; going on", c.place)
		}
		if !p.compareState(t, c.place) {
			return
		}
	}
	place := s.commands[len(s.commands)-1].place
	after := state(t, p.left)
	endsInNft := s.commands[len(s.commands)-1].words[0] == "nft"
	for family, program := range map[string]string{"family 2 ": "iptables-save", "family 10 ": "ip6tables-save"} {
		if strings.Contains(after, family) && !endsInNft {
			p.both(t, command{place: place, words: []string{program, "-c"}})
		}
	}
	if !isSample && !strings.Contains("\n"+after, "\nset ") {
		return
	}
	if want, got := nftText(p.left), nftText(p.right); want != got {
		t.Errorf("%s: nft shows something else (- Debian's, + Moat's)\n%s\n%s", place, diff(want, got), p.reproduction())
	}
}
