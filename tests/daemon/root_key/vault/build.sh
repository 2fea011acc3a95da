#!/usr/bin/env bash
# Builds HashiCorp Vault as a program for `make test-openbao`. usage: build.sh DIRECTORY
# Vault is built with an `sdk` of its own tree that was never published: three calls are adapted to the published one.
# None of them is of what the tests use (KV version 2, AppRole, wrapping, tokens).
set -euo pipefail
here=$(realpath "$(dirname "$0")")
mkdir -p "$1"
cd "$1"
cp "$here/go.mod" "$here/main.go" .
version=$(sed -n 's/^require github.com\/hashicorp\/vault //p' go.mod)
published=$(go mod download -json "github.com/hashicorp/vault@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
rm -rf source
cp -r "$published" source
chmod -R u+w source
sed -i 's/restoredKeyName, err := b.lm.RestorePolicy/err := b.lm.RestorePolicy/; s/"key_name": restoredKeyName,/"key_name": keyName,/' \
    source/builtin/logical/transit/path_restore.go
sed -i 's/ActivationFunc: iStore.activateDeduplication,/ActivationFunc: func(ctx context.Context, req *logical.Request, _ string) error { return iStore.activateDeduplication(ctx, req) },/' \
    source/vault/identity_store.go
sed -i 's/ActivationFunc(ctx, nil)/ActivationFunc(ctx, nil, "")/' source/vault/logical_system_activation_flags.go
go mod edit -replace github.com/hashicorp/vault=./source
go build -mod=mod -tags minimal -ldflags '-s -w' -o vault .
