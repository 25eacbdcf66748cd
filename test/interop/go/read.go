package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// readLog verifies a whole log by two clients that share no code above golang.org/x/mod: Tessera's fsck rebuilds every tile from the
// entries and compares; torchwood reads entries under a tree head, and proves the ones asked for. The head may be an older one than the
// log's newest: -checkpoint takes the text.
func readLog(args []string) error {
	flags := flag.NewFlagSet("read", flag.ExitOnError)
	logURL := flags.String("url", "", "the log's prefix, ending in /")
	vkey := flags.String("vkey", "", "the log's key")
	token := flags.String("token", "", "a bearer token")
	older := flags.String("checkpoint", "", "read under this checkpoint, instead of the newest")
	flags.Parse(args)
	ctx := context.Background()
	verifier, err := note.NewVerifier(*vkey)
	if err != nil {
		return err
	}
	prefix, err := url.Parse(*logURL)
	if err != nil {
		return err
	}
	hc := &http.Client{Transport: bearer{*token}}
	fetcher, err := client.NewHTTPFetcher(prefix, hc)
	if err != nil {
		return err
	}
	raw := []byte(*older)
	if len(raw) == 0 {
		if raw, err = fetcher.ReadCheckpoint(ctx); err != nil {
			return err
		}
	}
	if err := fsck.New(verifier.Name(), verifier, fixedHead{fetcher, raw}, leafHashes, fsck.Opts{N: 2}).Check(ctx); err != nil {
		return fmt.Errorf("tessera fsck: %w", err)
	}

	opened, err := note.Open(raw, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	head, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return err
	}
	if head.Origin != verifier.Name() || head.String() != opened.Text {
		return fmt.Errorf("torchwood reads another checkpoint than was signed: %q", head.String())
	}
	tiles, err := torchwood.NewTileFetcher(*logURL, torchwood.WithHTTPClient(hc))
	if err != nil {
		return err
	}
	reader, err := torchwood.NewClient(tiles)
	if err != nil {
		return err
	}
	entries := sha256.New()
	next := int64(0)
	for before := int64(-1); next < head.N && next != before; {
		before = next
		for index, entry := range reader.Entries(ctx, head.Tree, next) {
			if index != next {
				return fmt.Errorf("entry %d where %d is due", index, next)
			}
			entries.Write(entry)
			next++
		}
		if err := reader.Err(); err != nil {
			return fmt.Errorf("torchwood, at entry %d: %w", next, err)
		}
	}
	if next != head.N {
		return fmt.Errorf("torchwood read %d of %d entries", next, head.N)
	}
	proved := 0
	for index := int64(0); index < head.N; index += max(1, head.N/7) {
		entry, proof, err := reader.Entry(ctx, head.Tree, index)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, head.N, head.Hash, index, tlog.RecordHash(entry)); err != nil {
			return err
		}
		proved++
	}
	return say(map[string]any{"origin": head.Origin, "size": head.N, "root": head.Hash.String(), "entries": hex.EncodeToString(entries.Sum(nil)), "proved": proved})
}

// fixedHead is a log as it was at one checkpoint.
type fixedHead struct {
	fsck.Fetcher
	checkpoint []byte
}

func (f fixedHead) ReadCheckpoint(context.Context) ([]byte, error) { return f.checkpoint, nil }

func leafHashes(bundle []byte) ([][]byte, error) {
	entries := &api.EntryBundle{}
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(entries.Entries))
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// serveFiles serves a directory as plain files until it is ended.
func serveFiles(args []string) error {
	flags := flag.NewFlagSet("files", flag.ExitOnError)
	directory := flags.String("directory", "", "what to serve")
	flags.Parse(args)
	return serve(http.FileServer(http.Dir(*directory)), nil)
}

// serve listens on loopback, says where, and goes on until it is ended.
func serve(handler http.Handler, more map[string]any) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	document := map[string]any{"url": "http://" + listener.Addr().String() + "/"}
	for key, value := range more {
		document[key] = value
	}
	if err := say(document); err != nil {
		return err
	}
	return http.Serve(listener, handler)
}
