// Client-side routing as the book describes it: a resolver that asks one server for all of them, and
// a picker that sends Produce to the leader and Consume around the followers.
package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
)

const scheme = "logtest"

type leaderKey struct{}

func registerRouting(creds credentials.TransportCredentials) {
	resolver.Register(&serversBuilder{creds})
	balancer.Register(base.NewBalancerBuilder(scheme, &pickerBuilder{}, base.Config{}))
}

type serversBuilder struct {
	creds credentials.TransportCredentials
}

func (*serversBuilder) Scheme() string { return scheme }

func (b *serversBuilder) Build(
	target resolver.Target, conn resolver.ClientConn, _ resolver.BuildOptions,
) (resolver.Resolver, error) {
	side, err := grpc.Dial(target.Endpoint, grpc.WithTransportCredentials(b.creds))
	if err != nil {
		return nil, err
	}
	r := &serversResolver{side: side, conn: conn}
	r.ResolveNow(resolver.ResolveNowOptions{})
	return r, nil
}

type serversResolver struct {
	side *grpc.ClientConn
	conn resolver.ClientConn
}

func (r *serversResolver) ResolveNow(resolver.ResolveNowOptions) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var response GetServersResponse
	if err := r.side.Invoke(ctx, "/log.v1.Log/GetServers", &GetServersRequest{}, &response); err != nil {
		r.conn.ReportError(err)
		return
	}
	var addresses []resolver.Address
	for _, server := range response.Servers {
		addresses = append(addresses, resolver.Address{
			Addr:       server.RpcAddr,
			Attributes: attributes.New(leaderKey{}, server.IsLeader),
		})
	}
	config := r.conn.ParseServiceConfig(`{"loadBalancingConfig":[{"` + scheme + `":{}}]}`)
	r.conn.UpdateState(resolver.State{Addresses: addresses, ServiceConfig: config})
}

func (r *serversResolver) Close() { r.side.Close() }

type pickerBuilder struct{}

func (*pickerBuilder) Build(info base.PickerBuildInfo) balancer.Picker {
	p := &picker{}
	for conn, ready := range info.ReadySCs {
		if isLeader, _ := ready.Address.Attributes.Value(leaderKey{}).(bool); isLeader {
			p.leader = conn
		} else {
			p.followers = append(p.followers, conn)
		}
	}
	return p
}

type picker struct {
	leader    balancer.SubConn
	followers []balancer.SubConn
	turn      uint64
}

func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	var chosen balancer.SubConn
	if strings.Contains(info.FullMethodName, "Produce") || len(p.followers) == 0 {
		chosen = p.leader
	} else if strings.Contains(info.FullMethodName, "Consume") {
		turn := atomic.AddUint64(&p.turn, 1)
		chosen = p.followers[turn%uint64(len(p.followers))]
	}
	if chosen == nil {
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	return balancer.PickResult{SubConn: chosen}, nil
}
