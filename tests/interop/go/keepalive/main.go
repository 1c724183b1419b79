// The keepalive program of grpc-go: a server with the parameters of keepalive, and clients that show
// what becomes of their calls. The program of the same name on rgrpc has the same flags and writes the
// same lines; tests/interop/keepalive crosses them.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

var (
	flags    = flag.NewFlagSet("keepalive", flag.ExitOnError)
	timeFlag = flags.Float64("time", 0, "Seconds of silence before a PING; 0 for the default")
	timeout  = flags.Float64("timeout", 0, "Seconds to wait for its answer; 0 for the default")
	permit   = flags.Bool("permit_without_stream", false, "PINGs, or their permission, without calls")
	minTime  = flags.Float64("min_time", 0, "The policy's seconds between PINGs; 0 for the default")
	age      = flags.Float64("max_age", 0, "A connection's seconds; 0 for no bound")
	grace    = flags.Float64("grace", 0, "The seconds that its calls get then; 0 for no bound")
	servers  = flags.String("servers", "", "The addresses of servers, comma-separated")
	workers  = flags.Int("workers", 1, "Workers that call at the same time")
	every    = flags.Float64("every", 0.01, "A worker's seconds from one call to the next")
	deadline = flags.Float64("deadline", 3, "A call's seconds")
	runFor   = flags.Float64("run_for", 10, "Seconds of calls")
	messages = flags.Int("messages", 1000, "Messages of 64 KiB to download")
)

func main() {
	log.SetFlags(0)
	run := map[string]func(){
		"server":   serve,
		"workers":  runWorkers,
		"hang":     hang,
		"download": download,
	}
	if len(os.Args) < 2 || run[os.Args[1]] == nil {
		log.Fatal("usage: keepalive server|workers|hang|download [--flag=value ...]")
	}
	flags.Parse(os.Args[2:])
	run[os.Args[1]]()
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second))
}

// The interop service, which tells when a stream of FullDuplexCall ends.
type service struct {
	testgrpc.TestServiceServer
}

func (s service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	began := time.Now()
	<-stream.Context().Done()
	fmt.Printf("stream ended after %.1f s\n", time.Since(began).Seconds())
	return stream.Context().Err()
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatalf("cannot listen: %v", err)
	}
	server := grpc.NewServer(
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      seconds(*age),
			MaxConnectionAgeGrace: seconds(*grace),
			Time:                  seconds(*timeFlag),
			Timeout:               seconds(*timeout),
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             seconds(*minTime),
			PermitWithoutStream: *permit,
		}),
	)
	testgrpc.RegisterTestServiceServer(server, service{interop.NewTestServer()})
	fmt.Printf("listening on %v\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}

// A channel to all servers, by round_robin, that is connected.
func connect() *grpc.ClientConn {
	builder := manual.NewBuilderWithScheme("servers")
	var state resolver.State
	for _, server := range strings.Split(*servers, ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: server})
	}
	builder.InitialState(state)
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithResolvers(builder),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	}
	if *timeFlag > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                seconds(*timeFlag),
			Timeout:             seconds(*timeout),
			PermitWithoutStream: *permit,
		}))
	}
	conn, err := grpc.NewClient("servers:///", options...)
	if err != nil {
		log.Fatalf("cannot make a channel: %v", err)
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		conn.WaitForStateChange(context.Background(), state)
	}
	// The other servers are there soon.
	time.Sleep(time.Second)
	return conn
}

// Makes a call every so often on each worker; one that takes longer takes the place of others.
func runWorkers() {
	client := testgrpc.NewTestServiceClient(connect())
	fmt.Println("started")
	var completed, failed atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(seconds(*runFor))
	for range *workers {
		group.Go(func() {
			for tick := time.Now(); tick.Before(end); {
				ctx, cancel := context.WithTimeout(context.Background(), seconds(*deadline))
				_, err := client.EmptyCall(ctx, &testgrpc.Empty{})
				cancel()
				switch {
				case time.Now().After(end):
				case err == nil:
					completed.Add(1)
				default:
					failed.Add(1)
				}
				for tick = tick.Add(seconds(*every)); tick.Before(time.Now()); {
					tick = tick.Add(seconds(*every))
				}
				time.Sleep(time.Until(tick))
			}
		})
	}
	group.Wait()
	fmt.Printf("completed %d failed %d\n", completed.Load(), failed.Load())
}

// Opens a stream on which nothing is sent, and says how it ends.
func hang() {
	stream, err := testgrpc.NewTestServiceClient(connect()).FullDuplexCall(context.Background())
	if err != nil {
		log.Fatalf("cannot open a stream: %v", err)
	}
	fmt.Println("started")
	began := time.Now()
	_, err = stream.Recv()
	status := status.Convert(err)
	fmt.Printf("ended after %.1f s: %v: %s\n", time.Since(began).Seconds(), status.Code(), status.Message())
}

// Receives many messages on one stream.
func download() {
	request := &testgrpc.StreamingOutputCallRequest{}
	for range *messages {
		request.ResponseParameters = append(request.ResponseParameters,
			&testgrpc.ResponseParameters{Size: 64 << 10})
	}
	client := testgrpc.NewTestServiceClient(connect())
	stream, err := client.StreamingOutputCall(context.Background(), request)
	if err != nil {
		log.Fatalf("cannot open a stream: %v", err)
	}
	fmt.Println("started")
	for range *messages {
		if _, err := stream.Recv(); err != nil {
			log.Fatalf("the download ended: %v", err)
		}
	}
	fmt.Printf("downloaded %d\n", *messages)
}
