package traffic

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
)

// Times are UTC; every window is an hour and more away from its edge, so that
// a test which runs over midnight sees the same.
func TestTimeIsInForceOnlyThen(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m time --datestart 2000-01-01")
		n := lab.NewPair(t)
		now := time.Now().UTC()
		clock := func(d time.Duration) string { return now.Add(d).Format("15:04:05") }
		date := func(d time.Duration) string { return now.Add(d).Format("2006-01-02T15:04:05") }
		days, others := weekdaysAround(now)
		const all = "Mon,Tue,Wed,Thu,Fri,Sat,Sun"
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-m time --datestart 2000-01-01", 1},
			{"-m time --datestart 2000-01-01 --datestop 2001-01-01", 0},
			{"-m time --datestart " + date(-2*time.Hour) + " --datestop " + date(2*time.Hour), 1},
			{"-m time --datestart " + date(2*time.Hour), 0},
			{"-m time --datestop " + date(-2*time.Hour), 0},
			{"-m time --weekdays " + all, 1},
			{"-m time --weekdays " + days, 1},
			{"-m time --weekdays " + others, 0},
			{"-m time ! --weekdays " + others, 1},
			{"-m time ! --weekdays " + days, 0},
			{"-m time --timestart " + clock(-2*time.Hour) + " --timestop " + clock(2*time.Hour), 1},
			{"-m time --timestart " + clock(2*time.Hour) + " --timestop " + clock(4*time.Hour), 0},
			{"-m time --timestart " + clock(2*time.Hour) + " --timestop " + clock(-2*time.Hour), 0},
			{"-m time --monthdays " + monthdaysAround(now), 1},
			{"-m time ! --monthdays " + monthdaysAround(now), 0},
		}, 1, func() { n.Client.Send(f.udp(9, "x")) })
	})
}

func TestTimeShutsADoorOutOfHours(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m time --weekdays Mon -j DROP")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54")
		days, others := weekdaysAround(time.Now().UTC())
		f.rules(n.Server,
			"-A INPUT -p udp --dport 53 -m time --weekdays "+days+" -j DROP",
			"-A INPUT -p udp --dport 54 -m time --weekdays "+others+" -j DROP")
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Silent)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Open)
	})
}

// weekdaysAround gives yesterday, today and tomorrow, and the other four days.
func weekdaysAround(now time.Time) (around, others string) {
	var names [7]string
	for i := range names {
		names[i] = now.AddDate(0, 0, i-1).Weekday().String()[:3]
	}
	return strings.Join(names[:3], ","), strings.Join(names[3:], ",")
}

// monthdaysAround gives the numbers of yesterday, today and tomorrow.
func monthdaysAround(now time.Time) string {
	return fmt.Sprintf("%d,%d,%d", now.AddDate(0, 0, -1).Day(), now.Day(), now.AddDate(0, 0, 1).Day())
}
