package store

// hinted is an error that comes with advice.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// Hint says what the user can do about the error.
func (e *hinted) Hint() string { return e.hint }
