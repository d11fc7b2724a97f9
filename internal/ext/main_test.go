package ext

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"moat/internal/lab"
)

// TestMain lets no test ask a name server: host names come from files alone.
func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no resolver in tests")
		},
	}
	os.Exit(lab.Main(m))
}
