// A Go client of log.v1 over mutual TLS, as the book's tests use the server: each scenario prints one
// line of JSON with what it saw, and the TypeScript test says what it should have been. It knows of
// Cairn nothing but the wire contract.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/ioutil"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

const serviceName = "/log.v1.Log/"

var (
	address  = flag.String("address", "", "host:port of a server")
	ca       = flag.String("ca", "", "PEM file of the authority")
	cert     = flag.String("cert", "", "PEM file of the client's certificate")
	key      = flag.String("key", "", "PEM file of the client's key")
	scenario = flag.String("scenario", "", "one of the scenarios")
	routed   = flag.Bool("routed", false, "find the servers and route by method")
	count    = flag.Int("count", 1, "how many records")
)

var scenarios = map[string]func(context.Context, *grpc.ClientConn) (interface{}, error){
	"produce-consume": produceConsume,
	"streams":         streams,
	"past-boundary":   pastBoundary,
	"denied":          denied,
	"servers":         servers,
	"routed":          routedCalls,
	"half-close":      halfClose,
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	perform, ok := scenarios[*scenario]
	if !ok {
		return fmt.Errorf("unknown scenario %q", *scenario)
	}
	creds, err := transportCredentials()
	if err != nil {
		return err
	}
	target := *address
	if *routed {
		registerRouting(creds)
		target = fmt.Sprintf("%s:///%s", scheme, *address)
	}
	conn, err := grpc.Dial(target, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	seen, err := perform(ctx, conn)
	if err != nil {
		return fmt.Errorf("%s: %v", *scenario, err)
	}
	return json.NewEncoder(os.Stdout).Encode(seen)
}

func transportCredentials() (credentials.TransportCredentials, error) {
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return nil, err
	}
	pem, err := ioutil.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + *ca)
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      pool,
		ServerName:   "127.0.0.1",
	}), nil
}

func produce(ctx context.Context, conn *grpc.ClientConn, record *Record) (uint64, error) {
	var response ProduceResponse
	err := conn.Invoke(ctx, serviceName+"Produce", &ProduceRequest{Record: record}, &response)
	return response.Offset, err
}

func consume(ctx context.Context, conn *grpc.ClientConn, offset uint64) (*Record, error) {
	var response ConsumeResponse
	err := conn.Invoke(ctx, serviceName+"Consume", &ConsumeRequest{Offset: offset}, &response)
	return response.Record, err
}

func produceConsume(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	offset, err := produce(ctx, conn, &Record{Value: []byte("hello world"), Offset: 99, Term: 5, Type: 3})
	if err != nil {
		return nil, err
	}
	record, err := consume(ctx, conn, offset)
	if err != nil {
		return nil, err
	}
	return map[string]interface{}{"offset": offset, "value": string(record.Value), "record": record}, nil
}

func openStream(ctx context.Context, conn *grpc.ClientConn, name string) (grpc.ClientStream, error) {
	desc := &grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: name == "ProduceStream"}
	return conn.NewStream(ctx, desc, serviceName+name)
}

func streams(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	producing, err := openStream(ctx, conn, "ProduceStream")
	if err != nil {
		return nil, err
	}
	var offsets []uint64
	for i := 0; i < *count; i++ {
		value := []byte(fmt.Sprintf("message %d", i))
		if err := producing.SendMsg(&ProduceRequest{Record: &Record{Value: value}}); err != nil {
			return nil, err
		}
		var response ProduceResponse
		if err := producing.RecvMsg(&response); err != nil {
			return nil, err
		}
		offsets = append(offsets, response.Offset)
	}
	consumeCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	consuming, err := openStream(consumeCtx, conn, "ConsumeStream")
	if err != nil {
		return nil, err
	}
	if err := consuming.SendMsg(&ConsumeRequest{Offset: offsets[0]}); err != nil {
		return nil, err
	}
	if err := consuming.CloseSend(); err != nil {
		return nil, err
	}
	var records []*Record
	for range offsets {
		var response ConsumeResponse
		if err := consuming.RecvMsg(&response); err != nil {
			return nil, err
		}
		records = append(records, response.Record)
	}
	return map[string]interface{}{"offsets": offsets, "records": records}, nil
}

// Sends everything, closes the sending side, and reads until the server ends the stream.
func halfClose(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	producing, err := openStream(ctx, conn, "ProduceStream")
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() {
		for i := 0; i < *count; i++ {
			request := &ProduceRequest{Record: &Record{Value: []byte(fmt.Sprintf("%d", i))}}
			if err := producing.SendMsg(request); err != nil {
				failed <- err
				return
			}
		}
		failed <- producing.CloseSend()
	}()
	answers := 0
	for {
		var response ProduceResponse
		err := producing.RecvMsg(&response)
		if err != nil {
			sent := <-failed
			return map[string]interface{}{"answers": answers, "end": err.Error(), "sent": sent == nil}, nil
		}
		answers++
	}
}

func describe(err error) map[string]interface{} {
	st, _ := status.FromError(err)
	seen := map[string]interface{}{"code": int(st.Code()), "message": st.Message()}
	for _, detail := range st.Details() {
		if text, ok := detail.(*errdetails.LocalizedMessage); ok {
			seen["locale"] = text.Locale
			seen["localized"] = text.Message
		}
	}
	return seen
}

func pastBoundary(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	offset, err := produce(ctx, conn, &Record{Value: []byte("hello world")})
	if err != nil {
		return nil, err
	}
	record, err := consume(ctx, conn, offset+1)
	if err == nil {
		return nil, errors.New("consumed past the end")
	}
	seen := describe(err)
	seen["offset"] = offset + 1
	seen["isNil"] = record == nil
	return seen, nil
}

func denied(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	_, produceErr := produce(ctx, conn, &Record{Value: []byte("hello world")})
	_, consumeErr := consume(ctx, conn, 0)
	if produceErr == nil || consumeErr == nil {
		return nil, errors.New("it was allowed")
	}
	return []interface{}{describe(produceErr), describe(consumeErr)}, nil
}

func servers(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	var one, two GetServersResponse
	if err := conn.Invoke(ctx, serviceName+"GetServers", &GetServersRequest{}, &one); err != nil {
		return nil, err
	}
	if err := conn.Invoke(ctx, serviceName+"GetServer", &GetServersRequest{}, &two); err != nil {
		return nil, err
	}
	return map[string]interface{}{"servers": one.Servers, "alias": two.Servers}, nil
}

// Through the resolver and the picker: any server's address is enough.
func routedCalls(ctx context.Context, conn *grpc.ClientConn) (interface{}, error) {
	var offsets []uint64
	var values []string
	for i := 0; i < *count; i++ {
		offset, err := produce(ctx, conn, &Record{Value: []byte(fmt.Sprintf("routed %d", i))})
		if err != nil {
			return nil, err
		}
		offsets = append(offsets, offset)
	}
	for _, offset := range offsets {
		record, err := consumeSoon(ctx, conn, offset)
		if err != nil {
			return nil, err
		}
		values = append(values, string(record.Value))
	}
	return map[string]interface{}{"offsets": offsets, "values": values}, nil
}

// A follower may be a moment behind the acknowledgement.
func consumeSoon(ctx context.Context, conn *grpc.ClientConn, offset uint64) (*Record, error) {
	for {
		record, err := consume(ctx, conn, offset)
		if err == nil || int(status.Code(err)) != 404 || ctx.Err() != nil {
			return record, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
