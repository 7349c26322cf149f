package report

// Count is how many top-level tests passed, how many failed or did not report, and
// how many are flaky, on all kernels together.
func (m *Matrix) Count() (passed, failures, unsteady int) {
	for _, k := range m.kernels {
		passed += m.count(k, ok)
		failures += m.count(k, failed) + m.count(k, notRun)
		unsteady += m.count(k, flaky)
	}
	return passed, failures, unsteady
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
