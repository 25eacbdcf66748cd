// Appends records to a Tessera POSIX log, so many in flight, and prints how long each took until it was in the tree: the peer of `npm run bench:ledger`.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
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
	rate := flag.Float64("rate", 0, "entries a second, whatever has come of those before; 0: so many in flight")
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
		WithCheckpointSigner(signer).WithCheckpointInterval(time.Second).WithBatching(uint(*batch), *age).WithPushback(1<<20))
	must(err)

	// Every entry is another, and none is made while it is measured.
	pool := make([]byte, 1<<20+*bytes)
	_, err = rand.Read(pool)
	must(err)
	took := make([]float64, *records)
	next := make(chan int)
	var workers sync.WaitGroup
	// An entry has been synced once it has an index.
	add := func(n int, since time.Time) {
		entry := make([]byte, *bytes)
		copy(entry, pool[n*577%(1<<20):])
		binary.BigEndian.PutUint64(entry, uint64(n))
		_, err := appender.Add(ctx, tessera.NewEntry(entry))()
		must(err)
		took[n] = float64(time.Since(since).Nanoseconds()) / 1e6
	}
	started := time.Now()
	if *rate > 0 {
		for n := 0; n < *records; {
			due := min(*records, int(math.Ceil(time.Since(started).Seconds()**rate)))
			for ; n < due; n++ {
				workers.Add(1)
				go func(n int) {
					defer workers.Done()
					add(n, started.Add(time.Duration(float64(n)/(*rate)*1e9)))
				}(n)
			}
			time.Sleep(100 * time.Microsecond)
		}
	} else {
		for range *inFlight {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for n := range next {
					add(n, time.Now())
				}
			}()
		}
		for n := range *records {
			next <- n
		}
		close(next)
	}
	workers.Wait()
	seconds := time.Since(started).Seconds()
	must(shutdown(ctx))
	sort.Float64s(took)
	quantile := func(q float64) float64 { return took[min(len(took)-1, int(q*float64(len(took))))] }
	must(json.NewEncoder(os.Stdout).Encode(map[string]float64{"perSecond": float64(*records) / seconds, "p50Ms": quantile(0.5), "p99Ms": quantile(0.99)}))
}
