package guard

import (
	"os"
	"strconv"
	"time"

	"moat/internal/syslog"
)

// log notes a refusal, or what was done all the same and why, for whoever asks
// later what happened.
func (g *Guard) log(r *Refusal, forced string) {
	text := "refused: " + r.Summary()
	if forced != "" {
		text = "forced by " + forced + ": " + r.Summary()
	}
	logLine(g.o.Root, text)
}

// logLine writes to the log, if somebody listens; no change waits for that.
func logLine(root, text string) {
	text += " (user " + user() + ")"
	_ = syslog.Send(root+syslog.Socket, time.Now(), syslog.Line{
		Facility: syslog.Auth, Severity: syslog.Warning, Tag: "moat-guard", Text: text,
	})
}

// user is who gave the command: the one who called sudo, or the number of this
// process's user.
func user() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return strconv.Itoa(os.Getuid())
}
