package main

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
)

// publicOnly is a signer of which only the public half is known: enough to verify.
type publicOnly struct{ key ed25519.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }
func (p publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("there is no private half")
}

func decodeBase64(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }
