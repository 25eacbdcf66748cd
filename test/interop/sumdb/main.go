// The independent word on our formats: golang.org/x/mod's sumdb/tlog and sumdb/note answer the questions that a test asks, one JSON document a line.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Kind  string      `json:"kind"`
	Older int64       `json:"older"`
	Newer int64       `json:"newer"`
	Index int64       `json:"index"`
	Size  int64       `json:"size"`
	Leaf  tlog.Hash   `json:"leaf"`
	Proof []tlog.Hash `json:"proof"`
	Roots []tlog.Hash `json:"roots"`
	Entry []byte      `json:"entry"`
	Text  string      `json:"text"`
	Key   string      `json:"key"`
	Keys  []string    `json:"keys"`
	Path  string      `json:"path"`
}

// A tree that grows by one entry a question.
type tree struct {
	hashes []tlog.Hash
	size   int64
}

func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(t.hashes)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		found[i] = t.hashes[index]
	}
	return found, nil
}

func (t *tree) append(entry []byte) error {
	hashes, err := tlog.StoredHashes(t.size, entry, t)
	if err != nil {
		return err
	}
	t.hashes = append(t.hashes, hashes...)
	t.size++
	return nil
}

func (t *tree) answer(q question) (any, error) {
	switch q.Kind {
	case "append":
		if err := t.append(q.Entry); err != nil {
			return nil, err
		}
		return tlog.TreeHash(t.size, t)
	case "proveInclusion":
		proof, err := tlog.ProveRecord(q.Size, q.Index, t)
		return []tlog.Hash(proof), err
	case "proveConsistency":
		proof, err := tlog.ProveTree(q.Newer, q.Older, t)
		return []tlog.Hash(proof), err
	case "checkInclusion":
		return nil, tlog.CheckRecord(q.Proof, q.Size, q.Roots[0], q.Index, q.Leaf)
	case "checkConsistency":
		return nil, tlog.CheckTree(q.Proof, q.Newer, q.Roots[1], q.Older, q.Roots[0])
	case "sign":
		signer, err := note.NewSigner(q.Key)
		if err != nil {
			return nil, err
		}
		signed, err := note.Sign(&note.Note{Text: q.Text}, signer)
		return string(signed), err
	case "open":
		verifiers := []note.Verifier{}
		for _, key := range q.Keys {
			verifier, err := note.NewVerifier(key)
			if err != nil {
				return nil, err
			}
			verifiers = append(verifiers, verifier)
		}
		opened, err := note.Open([]byte(q.Text), note.VerifierList(verifiers...))
		if err != nil {
			return nil, err
		}
		names := []string{}
		for _, sig := range opened.Sigs {
			names = append(names, fmt.Sprintf("%s+%08x", sig.Name, sig.Hash))
		}
		return map[string]any{"text": opened.Text, "signedBy": names}, nil
	case "parseTilePath":
		tile, err := tlog.ParseTilePath(q.Path)
		return map[string]any{"level": tile.L, "index": tile.N, "width": tile.W}, err
	}
	return nil, fmt.Errorf("no such question: %s", q.Kind)
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	t := &tree{}
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(bytes.TrimSpace(line)) == 0 {
			break
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			log.Fatal(err)
		}
		reply := map[string]any{}
		if answer, err := t.answer(q); err != nil {
			reply["refused"] = err.Error()
		} else {
			reply["answer"] = answer
		}
		encoded, err := json.Marshal(reply)
		if err != nil {
			log.Fatal(err)
		}
		out.Write(append(encoded, '\n'))
	}
	out.Flush()
}
