package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

const checks = "/grpc.health.v1.Health/Check"

// A message of five bytes of frame and `status: SERVING` in protobuf.
var serving = []byte{0, 0, 0, 0, 2, 8, 1}

// HTTP/2 without TLS, which gRPC speaks within a network.
func plainHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// The standard health service of gRPC, for the server as a whole.
func health() http.Handler {
	calls := http.NewServeMux()
	calls.HandleFunc("POST "+checks, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write(serving)
		w.Header().Set("Grpc-Status", "0")
	})
	return calls
}

// Fails unless the server at an address says by gRPC that it serves.
func check(ctx context.Context, address string) error {
	client := &http.Client{Transport: &http.Transport{Protocols: plainHTTP2()}}
	defer client.CloseIdleConnections()
	empty := bytes.NewReader([]byte{0, 0, 0, 0, 0})
	request, err := http.NewRequestWithContext(ctx, "POST", "http://"+address+checks, empty)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	message, err := io.ReadAll(answer.Body)
	if status := answer.Trailer.Get("Grpc-Status"); err != nil || status != "0" || !bytes.Equal(message, serving) {
		return fmt.Errorf("%s answers %s with %v and the status %q: %w", address, answer.Proto, message, status, err)
	}
	return nil
}
