// The interop client of grpc-go, as google.golang.org/grpc/interop/client has it, with what it sends
// compressed by gzip, which that one cannot do. It has the cases in which messages have something to
// compress.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

var (
	host     = flag.String("server_host", "localhost", "The server's host")
	port     = flag.String("server_port", "10000", "The server's port")
	testCase = flag.String("test_case", "large_unary", "The case")

	cases = map[string]func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption){
		"empty_unary":      interop.DoEmptyUnaryCall,
		"large_unary":      interop.DoLargeUnaryCall,
		"client_streaming": interop.DoClientStreaming,
		"server_streaming": interop.DoServerStreaming,
		"ping_pong":        interop.DoPingPong,
		"empty_stream":     interop.DoEmptyStream,
	}
)

func main() {
	flag.Parse()
	run := cases[*testCase]
	if run == nil {
		log.Fatalf("unknown case %q", *testCase)
	}
	conn, err := grpc.NewClient(
		net.JoinHostPort(*host, *port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		log.Fatalf("cannot make a channel: %v", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	// A case that fails ends the program.
	run(ctx, testgrpc.NewTestServiceClient(conn), grpc.UseCompressor(gzip.Name))
}
