// A service on three ports, HTTP, gRPC and plain TCP, and the worker that asks it by gRPC, in one program.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

var revision = "none"

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "work" {
		run = work
	}
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	var beats atomic.Int64
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"revision": revision, "beats": beats.Load()})
	})
	pages.HandleFunc("POST /beats", func(http.ResponseWriter, *http.Request) { beats.Add(1) })
	server := &http.Server{Addr: ":" + os.Getenv("PORT"), Handler: pages}
	calls := &http.Server{Addr: ":" + os.Getenv("GRPC_PORT"), Handler: health(), Protocols: plainHTTP2()}
	lines, err := net.Listen("tcp", ":"+os.Getenv("LINE_PORT"))
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- server.ListenAndServe() }()
	go func() { failed <- calls.ListenAndServe() }()
	go func() { failed <- greet(lines) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(rest), calls.Shutdown(rest))
}

// Greets whoever connects, in their turn.
func greet(listener net.Listener) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(connection, "relay speaks")
		connection.Close()
	}
}

// Asks the service by gRPC how it is, and tells it by HTTP when the answer was that it serves.
func work(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := check(ctx, os.Getenv("RELAY_GRPC")); err != nil {
			log.Print(err)
		} else if answer, err := http.Post(os.Getenv("RELAY_URL")+"/beats", "text/plain", nil); err != nil {
			log.Print(err)
		} else {
			answer.Body.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
