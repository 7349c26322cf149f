package registry

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentials writes docker's configuration for the host and lets it be the
// only one.
func credentials(t *testing.T, host, user, password string) {
	t.Helper()
	home := t.TempDir()
	for _, variable := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(variable, home)
	}
	for _, variable := range []string{"REGISTRY_AUTH_FILE", "GITHUB_TOKEN", "GITHUB_ACTOR"} {
		t.Setenv(variable, "")
	}
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, "docker"))
	if user != "" {
		write(t, filepath.Join(home, "docker", "config.json"), authFile(host, user, password))
	}
}

func authFile(host, user, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// basic lets in who knows the password.
func basic(password string, refused *int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, r *http.Request) bool {
		user, got, ok := r.BasicAuth()
		if ok && user == "me" && got == password {
			return false
		}
		if ok {
			*refused++
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return true
	}
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct{ user, password, want, hint string }{
		"right": {"me", "right", "", ""},
		"wrong": {"me", "wrong", `it refuses the credentials of "me": 401 Unauthorized: authentication required`, "log in again: docker login"},
		"none":  {"", "", "it wants credentials: 401", "docker login"},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := newServer(t), newClient(t)
			client.Keychain = nil
			refused := 0
			s.fault = basic("right", &refused)
			credentials(t, s.host(), c.user, c.password)
			_, err := client.repository(t, s.host()).Tag(t.Context(), "6.12")
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, c.want, c.hint)
			if refused > 1 || len(client.warnings) > 0 {
				t.Errorf("showed a password %d times that is wrong; warnings %q", refused, client.warnings)
			}
		})
	}
}

// A registry with a server for tokens, as ghcr.io is.
func TestToken(t *testing.T) {
	for _, password := range []string{"right", "wrong"} {
		s, client := newServer(t), newClient(t)
		client.Keychain = nil
		refused, check := 0, basic("right", new(int))
		s.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/v2/token"):
				if !check(n, w, r) {
					fmt.Fprint(w, `{"token":"good"}`)
				} else {
					refused++
				}
				return true
			case r.Header.Get("Authorization") == "Bearer good":
				return false
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/v2/token",service="test"`, s.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		s.greet = true
		credentials(t, s.host(), "me", password)
		_, err := client.repository(t, s.host()).Tag(t.Context(), "6.12")
		if password == "right" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantError(t, err, `it refuses the credentials of "me": 401`, "log in again")
		if refused != 1 {
			t.Errorf("showed the wrong password %d times", refused)
		}
	}
}

// Where credentials are looked for.
func TestKeychain(t *testing.T) {
	resolve := func(host string) string {
		t.Helper()
		repository, err := name.NewRepository(host + "/org/kernels")
		if err != nil {
			t.Fatal(err)
		}
		auth, err := authn.Resolve(t.Context(), (&Client{}).keychain(), repository)
		if err != nil {
			t.Fatal(err)
		}
		config, err := authn.Authorization(t.Context(), auth)
		if err != nil {
			t.Fatal(err)
		}
		return config.Username + ":" + config.Password
	}
	check := func(host, want string) {
		t.Helper()
		if got := resolve(host); got != want {
			t.Errorf("for %s: %q, want %q", host, got, want)
		}
	}
	credentials(t, "", "", "")
	check("ghcr.io", ":")
	t.Setenv("GITHUB_TOKEN", "secret")
	t.Setenv("GITHUB_ACTOR", "actor")
	check("ghcr.io", "actor:secret")
	check("quay.io", ":")
	auth := write(t, filepath.Join(t.TempDir(), "auth.json"), authFile("quay.io", "podman", "p"))
	t.Setenv("REGISTRY_AUTH_FILE", auth)
	check("quay.io", "podman:p")
	credentials(t, "ghcr.io", "docker", "d")
	t.Setenv("GITHUB_TOKEN", "secret")
	check("ghcr.io", "docker:d")
}
