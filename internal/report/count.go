package report

// Count is how many top-level tests passed, counting those that are flaky, and
// how many failed or did not report, on all kernels together.
func (m *Matrix) Count() (passed, failed int) {
	for _, k := range m.kernels {
		passed += m.count(k, ok) + m.count(k, flaky)
		for _, o := range outcomes {
			if o.bad() {
				failed += m.count(k, o)
			}
		}
	}
	return passed, failed
}

// Digests are those of the kernels that booted, by name.
func (m *Matrix) Digests() map[string]string {
	digests := map[string]string{}
	for _, k := range m.kernels {
		if k.machine != nil {
			digests[k.name] = k.machine.Digest
		}
	}
	return digests
}
