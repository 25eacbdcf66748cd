package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"filippo.io/torchwood"
	f_note "github.com/transparency-dev/formats/note"
	witnessclient "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// serveWitness is the witness of transparency-dev (what omniwitness runs), for one log, with its state in memory.
func serveWitness(args []string) error {
	flags := flag.NewFlagSet("witness", flag.ExitOnError)
	logKey := flags.String("log", "", "the log's key")
	name := flags.String("name", "witness.example/go", "the witness's name")
	flags.Parse(args)
	verifier, err := note.NewVerifier(*logKey)
	if err != nil {
		return err
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, *name)
	if err != nil {
		return err
	}
	signer, err := f_note.NewSignerForCosignatureV1(skey)
	if err != nil {
		return err
	}
	cosignatureKey, err := f_note.VKeyToCosignatureV1(vkey)
	if err != nil {
		return err
	}
	w, err := witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			return verifier, origin == verifier.Name(), nil
		},
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	return serve(mux, map[string]any{"vkey": cosignatureKey})
}

// submit is a log of golang.org/x/mod's making that asks our witness by transparency-dev's client, step by step: each answer must be the
// one that the protocol names, and each cosignature must hold for torchwood and for transparency-dev's verifier.
func submit(args []string) error {
	flags := flag.NewFlagSet("submit", flag.ExitOnError)
	witnessURL := flags.String("url", "", "our witness")
	witnessKey := flags.String("vkey", "", "its key")
	skey := flags.String("skey", "", "the log's signer key")
	flags.Parse(args)
	signer, err := note.NewSigner(*skey)
	if err != nil {
		return err
	}
	submission, err := url.Parse(*witnessURL)
	if err != nil {
		return err
	}
	ours := witnessclient.NewWitness(submission, http.DefaultClient)
	log := newLog(signer)
	log.grow(21)
	stranger, err := newStranger(signer.Name())
	if err != nil {
		return err
	}
	other := newLog(signer)
	other.prefix = "another history "
	other.grow(21)
	unknown := newLog(stranger)
	unknown.grow(21)

	type step struct {
		what      string
		log       *memoryLog
		old, size int64
		proof     []tlog.Hash
		want      error
		have      uint64
	}
	steps := []step{
		{what: "a first head", log: log, old: 0, size: 13},
		{what: "the same again", log: log, old: 13, size: 13},
		{what: "an old size of nothing", log: log, old: 0, size: 21, want: witness.ErrCheckpointStale, have: 13},
		{what: "a head that grows", log: log, old: 13, size: 17, proof: log.prove(13, 17)},
		{what: "an older head", log: log, old: 13, size: 13, want: witness.ErrCheckpointStale, have: 17},
		{what: "an old size that is larger", log: log, old: 18, size: 17, want: witness.ErrOldSizeInvalid},
		{what: "a wrong proof", log: log, old: 17, size: 21, proof: log.prove(16, 21), want: witness.ErrInvalidProof},
		{what: "another history", log: other, old: 17, size: 21, proof: other.prove(17, 21), want: witness.ErrInvalidProof},
		{what: "another root of the same size", log: other, old: 17, size: 17, want: witness.ErrInvalidProof},
		{what: "the signature of a stranger", log: unknown, old: 17, size: 21, proof: unknown.prove(17, 21), want: witness.ErrNoValidSignature},
		{what: "a head that grows, after all that", log: log, old: 17, size: 21, proof: log.prove(17, 21)},
	}
	cosigned := 0
	for _, s := range steps {
		checkpoint, err := s.log.checkpoint(s.size)
		if err != nil {
			return err
		}
		proof := make([][]byte, 0, len(s.proof))
		for _, hash := range s.proof {
			proof = append(proof, hash[:])
		}
		lines, have, err := ours.Update(context.Background(), uint64(s.old), checkpoint, proof)
		if !errors.Is(err, s.want) || have != s.have {
			return fmt.Errorf("%s: answered %v, %d; due are %v, %d", s.what, err, have, s.want, s.have)
		}
		if s.want != nil {
			continue
		}
		if err := holds(checkpoint, lines, *witnessKey); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		cosigned++
	}
	return say(map[string]any{"steps": len(steps), "cosigned": cosigned})
}

func holds(checkpoint, lines []byte, vkey string) error {
	cosigned := append(append([]byte{}, checkpoint...), lines...)
	byFormats, err := f_note.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return err
	}
	name, key, err := rawKey(vkey)
	if err != nil {
		return err
	}
	// Torchwood verifies with what a signer of that key would: it has no parser for keys of type 04.
	byTorchwood, err := torchwood.NewCosignatureSigner(name, publicOnly{key})
	if err != nil {
		return err
	}
	for _, verifier := range []note.Verifier{byFormats, byTorchwood.Verifier()} {
		opened, err := note.Open(cosigned, note.VerifierList(verifier))
		if err != nil {
			return err
		}
		if len(opened.Sigs) != 1 {
			return fmt.Errorf("%d cosignatures hold", len(opened.Sigs))
		}
		if seconds, err := torchwood.CosignatureTimestamp(opened.Sigs[0]); err != nil || seconds == 0 {
			return fmt.Errorf("time %d: %v", seconds, err)
		}
	}
	if got := byTorchwood.Verifier().String(); got != vkey {
		return fmt.Errorf("torchwood spells the key %s", got)
	}
	return nil
}

type memoryLog struct {
	signer note.Signer
	prefix string
	hashes []tlog.Hash
	size   int64
}

func newLog(signer note.Signer) *memoryLog { return &memoryLog{signer: signer, prefix: "entry "} }

func (l *memoryLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, len(indexes))
	for _, index := range indexes {
		hashes = append(hashes, l.hashes[index])
	}
	return hashes, nil
}

func (l *memoryLog) grow(size int64) {
	for ; l.size < size; l.size++ {
		hashes, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "%s%d", l.prefix, l.size), l)
		if err != nil {
			fail(err)
		}
		l.hashes = append(l.hashes, hashes...)
	}
}

func (l *memoryLog) prove(old, size int64) []tlog.Hash {
	proof, err := tlog.ProveTree(size, old, l)
	if err != nil {
		fail(err)
	}
	return proof
}

func (l *memoryLog) checkpoint(size int64) ([]byte, error) {
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		return nil, err
	}
	head := torchwood.Checkpoint{Origin: l.signer.Name(), Tree: tlog.Tree{N: size, Hash: root}}
	return note.Sign(&note.Note{Text: head.String()}, l.signer)
}

func newStranger(name string) (note.Signer, error) {
	skey, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, err
	}
	return note.NewSigner(skey)
}

func rawKey(vkey string) (string, ed25519.PublicKey, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	bytes, err := decodeBase64(encoded)
	if err != nil || len(bytes) != 1+ed25519.PublicKeySize || bytes[0] != 4 {
		return "", nil, fmt.Errorf("not a cosignature key: %s", vkey)
	}
	return name, ed25519.PublicKey(bytes[1:]), nil
}
