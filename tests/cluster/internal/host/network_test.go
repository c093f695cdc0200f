package host

import "testing"

func TestResolversLeaveOutLoopback(t *testing.T) {
	got := withoutLoopback("# comment\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\noptions edns0\nsearch example.org\n")
	want := "# comment\nnameserver 10.0.0.2\noptions edns0\nsearch example.org\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
