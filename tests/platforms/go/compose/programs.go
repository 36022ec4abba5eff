//go:build programs

// The compose plugin of the docker command, built only when a test asks for it.
package programs

import _ "github.com/docker/compose/v2/cmd"
