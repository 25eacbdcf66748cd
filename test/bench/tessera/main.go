// Appends records to a Tessera POSIX log, so many in flight, and prints how long each took until it was in the tree: the peer of `npm run bench:ledger`.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	directory := flag.String("dir", "", "a new directory")
	inFlight := flag.Int("in-flight", 256, "")
	records := flag.Int("records", 10_000, "")
	bytes := flag.Int("bytes", 1024, "")
	batch := flag.Int("batch", 256, "entries that are integrated together")
	age := flag.Duration("age", 10*time.Millisecond, "how long an entry waits for others")
	flag.Parse()

	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	secret, _, err := note.GenerateKey(rand.Reader, "bench")
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	driver, err := posix.New(ctx, posix.Config{Path: *directory})
	must(err)
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithCheckpointInterval(time.Second).WithBatching(uint(*batch), *age).WithPushback(uint(4*max(*inFlight, *batch))))
	must(err)

	took := make([]float64, *records)
	next := make(chan int)
	var workers sync.WaitGroup
	// An entry has been synced once it has an index.
	for range *inFlight {
		workers.Add(1)
		go func() {
			defer workers.Done()
			entry := make([]byte, *bytes)
			for n := range next {
				if _, err := rand.Read(entry); err != nil {
					must(err)
				}
				started := time.Now()
				_, err := appender.Add(ctx, tessera.NewEntry(entry))()
				must(err)
				took[n] = float64(time.Since(started).Nanoseconds()) / 1e6
			}
		}()
	}
	started := time.Now()
	for n := range *records {
		next <- n
	}
	close(next)
	workers.Wait()
	seconds := time.Since(started).Seconds()
	must(shutdown(ctx))
	sort.Float64s(took)
	quantile := func(q float64) float64 { return took[min(len(took)-1, int(q*float64(len(took))))] }
	must(json.NewEncoder(os.Stdout).Encode(map[string]float64{"perSecond": float64(*records) / seconds, "p50Ms": quantile(0.5), "p99Ms": quantile(0.99)}))
}
