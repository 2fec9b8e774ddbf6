// The .proto files as protobufjs reads them: the reference for the hand-written codec.

import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const directory = fileURLToPath(new URL("../../proto/", import.meta.url));

const roots: Readonly<Record<string, protobuf.Root>> = {
  "log.v1": rootOf("log/v1/log.proto"),
  "cairn.v1": rootOf("cairn/v1/log.proto", "cairn/v1/admin.proto"),
};

function rootOf(...files: string[]): protobuf.Root {
  const root = new protobuf.Root();
  // Imports are from the proto directory, as protoc and buf have it.
  root.resolvePath = (_origin, target) =>
    target.startsWith(directory) ? target : directory + target;
  return root.loadSync(files.map((file) => directory + file));
}

function rootFor(name: string): protobuf.Root {
  const scope = name.slice(0, name.lastIndexOf("."));
  const root = roots[scope];
  if (root === undefined) throw new Error(`no proto of ${scope}`);
  return root;
}

/** A message by its full name, like log.v1.Record. */
export function messageType(name: string): protobuf.Type {
  return rootFor(name).lookupType(name);
}

/** Request and response of a method, by its path on the wire. */
export function methodTypes(path: string): [protobuf.Type, protobuf.Type] {
  const [, service = "", method = ""] = path.split("/");
  // The alias is in no .proto: it is the same method by another name.
  const name = method === "GetServer" ? "GetServers" : method;
  const definition = rootFor(service).lookupService(service).methods[name];
  if (definition === undefined) throw new Error(`${path} is in no .proto`);
  const scope = service.slice(0, service.lastIndexOf("."));
  const { requestType, responseType } = definition;
  return [messageType(`${scope}.${requestType}`), messageType(`${scope}.${responseType}`)];
}
