// Command interop is other people's programs, put to work on a ledger of ours: clients that read it, a witness that cosigns it,
// and a log that asks our witness. Whatever they say is one JSON document on standard output; exit 1 is a disagreement.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: interop read|files|witness|submit ..."))
	}
	var err error
	switch command, args := os.Args[1], os.Args[2:]; command {
	case "read":
		err = readLog(args)
	case "files":
		err = serveFiles(args)
	case "witness":
		err = serveWitness(args)
	case "submit":
		err = submit(args)
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	if err != nil {
		fail(err)
	}
}

func say(document any) error {
	return json.NewEncoder(os.Stdout).Encode(document)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
