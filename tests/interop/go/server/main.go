// The interop server of grpc-go, as google.golang.org/grpc/interop/server has it, with gzip, which
// that one is built without. Calls are answered as they come, compressed or not.
package main

import (
	"flag"
	"log"
	"net"
	"strconv"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

var port = flag.Int("port", 10000, "The server port")

func main() {
	flag.Parse()
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(*port))
	if err != nil {
		log.Fatalf("cannot listen: %v", err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	log.Fatal(server.Serve(listener))
}
