#!/usr/bin/env bash
# Puts vmtest into a directory of the job and into its PATH: the binary of the
# release that the Action is of, once its checksum and its attestation hold, or
# else what the Action's own checkout builds.
set -euo pipefail

# ACTION_REPOSITORY and ACTION_REF are empty for `uses: ./`. VERSION is the
# input: a release's tag, or "source".
bin=$RUNNER_TEMP/vmtest-bin
mkdir -p "$bin"

die() {
	echo "::error::$1"
	exit "$2"
}

# release prints the tag of the release to take, or nothing. A release has the
# commit that the workflow names: by a tag such as v1, or by its hash.
release() {
	if [[ $VERSION == source || -z $ACTION_REPOSITORY || $GITHUB_SERVER_URL != https://github.com ]]; then
		return
	fi
	if [[ -n $VERSION ]]; then
		echo "$VERSION"
		return
	fi
	GIT_TERMINAL_PROMPT=0 git ls-remote --tags "$GITHUB_SERVER_URL/$ACTION_REPOSITORY" 2>/dev/null |
		awk -v ref="$ACTION_REF" '
			{ tag = $2; sub("^refs/tags/", "", tag); sub("\\^\\{\\}$", "", tag); commit[tag] = $1 }
			END {
				want = ref in commit ? commit[ref] : ref
				for (tag in commit)
					if (commit[tag] == want && tag ~ /^v[0-9]+\.[0-9]+\.[0-9]+$/) { print tag; exit }
			}' || true
}

# download fetches a release's binary and says whether it could. One that is
# not what it should be ends everything: it is never built instead.
download() {
	local tag=$1 name from="$GITHUB_SERVER_URL/$ACTION_REPOSITORY/releases/download/$1" file
	name=vmtest-linux-$(case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac)
	for file in "$name" SHA256SUMS; do
		curl -fsSL --retry 3 -o "$bin/$file" "$from/$file" || return 1
	done
	(cd "$bin" && grep -E "^[0-9a-f]{64}  $name\$" SHA256SUMS | sha256sum --check --strict --quiet) ||
		die "vmtest $tag: $name is not what SHA256SUMS says" 3
	if command -v gh >/dev/null; then
		gh attestation verify "$bin/$name" --repo "$ACTION_REPOSITORY" --source-ref "refs/tags/$tag" \
			--signer-workflow "$ACTION_REPOSITORY/.github/workflows/release.yml" >&2 ||
			die "vmtest $tag: $name has no attestation that holds" 3
	else
		echo "::warning::gh is not installed: the attestation of vmtest $tag was not verified, only its checksum"
	fi
	mv "$bin/$name" "$bin/vmtest"
	chmod +x "$bin/vmtest"
}

build() {
	command -v go >/dev/null || die "vmtest is compiled, and Go is not installed; put actions/setup-go before this step" 3
	# The caller's settings for Go are about the caller's module.
	GOFLAGS='' GOWORK=off GOTOOLCHAIN=auto CGO_ENABLED=0 go build -C "$GITHUB_ACTION_PATH" -trimpath -o "$bin/vmtest" ./cmd/vmtest
}

if [[ -n $VERSION && $VERSION != source && ! $VERSION =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
	die "input version \"$VERSION\": want a release such as v1.2.3, or source" 2
fi
tag=$(release)
if [[ -n $tag ]] && download "$tag"; then
	echo "vmtest $tag"
elif [[ -n $VERSION && $VERSION != source ]]; then
	die "input version \"$VERSION\": it cannot be downloaded from $GITHUB_SERVER_URL/$ACTION_REPOSITORY" 3
else
	build
	"$bin/vmtest" version
fi
echo "$bin" >>"$GITHUB_PATH"
echo "vmtest=$bin/vmtest" >>"$GITHUB_OUTPUT"
