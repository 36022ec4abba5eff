//go:build programs

// Fake nodes for large numbers of pods, built only when a test asks for them.
package programs

import _ "sigs.k8s.io/kwok/cmd/kwok"
