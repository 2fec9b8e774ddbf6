// The messages of log/v1/log.proto with the tags that protoc-gen-go of the book's day wrote into its
// structs: golang/protobuf reads them by reflection, so nothing needs to be generated here.
package main

import "github.com/golang/protobuf/proto"

type Record struct {
	Value  []byte `protobuf:"bytes,1,opt,name=value,proto3" json:"value,omitempty"`
	Offset uint64 `protobuf:"varint,2,opt,name=offset,proto3" json:"offset,omitempty"`
	Term   uint64 `protobuf:"varint,3,opt,name=term,proto3" json:"term,omitempty"`
	Type   uint32 `protobuf:"varint,4,opt,name=type,proto3" json:"type,omitempty"`
}

type ProduceRequest struct {
	Record *Record `protobuf:"bytes,1,opt,name=record,proto3" json:"record,omitempty"`
}

type ProduceResponse struct {
	Offset uint64 `protobuf:"varint,1,opt,name=offset,proto3" json:"offset,omitempty"`
}

type ConsumeRequest struct {
	Offset uint64 `protobuf:"varint,1,opt,name=offset,proto3" json:"offset,omitempty"`
}

type ConsumeResponse struct {
	Record *Record `protobuf:"bytes,2,opt,name=record,proto3" json:"record,omitempty"`
}

type GetServersRequest struct{}

type GetServersResponse struct {
	Servers []*Server `protobuf:"bytes,1,rep,name=servers,proto3" json:"servers,omitempty"`
}

type Server struct {
	Id       string `protobuf:"bytes,1,opt,name=id,proto3" json:"id,omitempty"`
	RpcAddr  string `protobuf:"bytes,2,opt,name=rpc_addr,json=rpcAddr,proto3" json:"rpc_addr,omitempty"`
	IsLeader bool   `protobuf:"varint,3,opt,name=is_leader,json=isLeader,proto3" json:"is_leader,omitempty"`
}

func (m *Record) Reset()                     { *m = Record{} }
func (m *Record) String() string             { return proto.CompactTextString(m) }
func (*Record) ProtoMessage()                {}
func (m *ProduceRequest) Reset()             { *m = ProduceRequest{} }
func (m *ProduceRequest) String() string     { return proto.CompactTextString(m) }
func (*ProduceRequest) ProtoMessage()        {}
func (m *ProduceResponse) Reset()            { *m = ProduceResponse{} }
func (m *ProduceResponse) String() string    { return proto.CompactTextString(m) }
func (*ProduceResponse) ProtoMessage()       {}
func (m *ConsumeRequest) Reset()             { *m = ConsumeRequest{} }
func (m *ConsumeRequest) String() string     { return proto.CompactTextString(m) }
func (*ConsumeRequest) ProtoMessage()        {}
func (m *ConsumeResponse) Reset()            { *m = ConsumeResponse{} }
func (m *ConsumeResponse) String() string    { return proto.CompactTextString(m) }
func (*ConsumeResponse) ProtoMessage()       {}
func (m *GetServersRequest) Reset()          { *m = GetServersRequest{} }
func (m *GetServersRequest) String() string  { return proto.CompactTextString(m) }
func (*GetServersRequest) ProtoMessage()     {}
func (m *GetServersResponse) Reset()         { *m = GetServersResponse{} }
func (m *GetServersResponse) String() string { return proto.CompactTextString(m) }
func (*GetServersResponse) ProtoMessage()    {}
func (m *Server) Reset()                     { *m = Server{} }
func (m *Server) String() string             { return proto.CompactTextString(m) }
func (*Server) ProtoMessage()                {}
