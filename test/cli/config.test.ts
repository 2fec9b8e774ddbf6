// Where an agent's settings come from, which wins, and the one line that each mistake gets.

import { writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";

import { type AgentConfig, loadAgentConfig } from "../../src/cli/config.ts";
import { CommandError } from "../../src/cli/exit.ts";
import { environmentName, SETTINGS } from "../../src/cli/settings.ts";
import { temporaryFolder } from "./temporary.ts";

const folder = temporaryFolder();

function file(name: string, text: string): string {
  const full = path.join(folder, name);
  writeFileSync(full, text);
  return full;
}

function load(flags: Record<string, unknown> = {}, env: Record<string, string> = {}): AgentConfig {
  return loadAgentConfig({ "node-name": "n1", ...flags }, env);
}

/** The lines of the refusal. */
function refusal(flags: Record<string, unknown>, env: Record<string, string> = {}): string[] {
  try {
    load(flags, env);
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 64) return [...error.lines];
    throw error;
  }
  throw new Error("the configuration was accepted");
}

const threePeers = "n1=10.0.0.1:8400,n2=10.0.0.2:8400,n3=10.0.0.3:8400";
const peerTls = {
  "peer-tls-cert-file": "n1.pem",
  "peer-tls-key-file": "n1-key.pem",
  "peer-tls-ca-file": "ca.pem",
};

describe("defaults", () => {
  test("an agent without settings has the seeds' defaults", () => {
    const config = loadAgentConfig({}, {});
    expect(config).toMatchObject({
      nodeName: hostname(),
      dataDir: path.join(tmpdir(), "cairn"),
      listenHost: "127.0.0.1",
      listenPort: 8400,
      mayCreate: false,
      serverTls: null,
      peerTls: null,
      aclModelFile: null,
      aclPolicyFile: null,
      recordDir: null,
      index: "auto",
    });
    expect(config.members).toEqual([{ id: hostname(), address: "127.0.0.1:8400" }]);
  });

  test("a listed agent listens where the list says it is", () => {
    const config = load({ peers: threePeers, ...peerTls });
    expect([config.listenHost, config.listenPort]).toEqual(["10.0.0.1", 8400]);
    expect(config.mayCreate).toBe(true);
  });

  test("an agent behind a forwarded port listens where it is told", () => {
    const flags = { peers: threePeers, ...peerTls, "bind-addr": "0.0.0.0", "rpc-port": "9400" };
    const config = load(flags);
    expect([config.listenHost, config.listenPort]).toEqual(["0.0.0.0", 9400]);
    expect(config.members[0]?.address).toBe("10.0.0.1:8400");
  });
});

describe("gossip", () => {
  const found = { ...peerTls, "start-join-addrs": "10.0.0.1:7946, n2" };

  test("an agent gossips where it is given a port, contacts or a number to wait for", () => {
    const bound = load({ ...peerTls, "bind-addr": "10.0.0.1:8401" });
    expect([bound.listenHost, bound.gossip?.bindAddr]).toEqual(["10.0.0.1", "10.0.0.1:8401"]);
    const six = load({ ...peerTls, "bind-addr": "[::1]:8401" });
    expect([six.listenHost, six.address, six.gossip?.bindAddr]).toEqual(
      ["::1", "[::1]:8400", "[::1]:8401"], // The port of the service stays its own.
    );
    const joining = load(found).gossip;
    expect(joining).toMatchObject({ bindAddr: "127.0.0.1:7946", expect: null });
    expect(joining?.startJoinAddrs).toEqual(["10.0.0.1:7946", "n2"]);
    expect(load({ ...peerTls, "bootstrap-expect": "3" }).gossip?.expect).toBe(3);
    expect(load({ ...found, tags: "zone=z1,rack=" }).gossip?.tags).toEqual({
      zone: "z1",
      rack: "",
    });
    expect(load({ "bind-addr": "10.0.0.1" }).gossip).toBeNull();
    expect(load({ "bind-addr": "::1" })).toMatchObject({ listenHost: "::1", gossip: null });
  });

  test("an agent may listen everywhere and say where others reach it", () => {
    const everywhere = { ...found, "bind-addr": "0.0.0.0:7000", "rpc-port": "8500" };
    const config = load({ ...everywhere, "advertise-addr": "10.0.0.1" });
    expect(config).toMatchObject({ listenHost: "0.0.0.0", address: "10.0.0.1:8500" });
    const { bindAddr, advertiseAddr } = config.gossip ?? {};
    expect([bindAddr, advertiseAddr]).toEqual(["0.0.0.0:7000", "10.0.0.1:7000"]);
    const mapped = load({ ...everywhere, "advertise-addr": "[fd00::1]:7946" });
    expect(mapped.address).toBe("[fd00::1]:8500");
    expect(mapped.gossip?.advertiseAddr).toBe("[fd00::1]:7946");
  });

  test("whoever gossips founds nothing by itself, and all have one cluster id", () => {
    const config = load({ ...found, bootstrap: true });
    expect(config).toMatchObject({ mayCreate: false, gossip: { bootstrap: true } });
    expect(config.clusterId).toBe(loadAgentConfig({ ...found, "node-name": "n9" }, {}).clusterId);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["TLS is missing", { "start-join-addrs": "10.0.0.1" }, "peer-tls-cert-file: missing"],
    [
      "nobody can dial it",
      { ...found, "bind-addr": "0.0.0.0" },
      "bind-addr: nobody can dial 0.0.0.0: say with advertise-addr where others reach this node",
    ],
    [
      "it advertises no address",
      { ...found, "bind-addr": "0.0.0.0", "advertise-addr": "::" },
      "advertise-addr: nobody can dial ::: give an address of this node (--advertise-addr)",
    ],
    [
      "founders are named twice",
      { ...found, bootstrap: true, "bootstrap-expect": "3" },
      "bootstrap-expect: says how many found the cluster",
    ],
    [
      "a tag is the node's own",
      { ...found, tags: "zone=z1,stage=member" },
      "tags: the tag stage is the node's own: take another name",
    ],
    ["a tag has no name", { ...found, tags: "=z1" }, "tags: expected name=value"],
    ["tags are too long", { ...found, tags: `a=${"b".repeat(200)}` }, "tags: these tags take 207"],
    ["nobody would see tags", { tags: "zone=z1" }, "tags: needs gossip"],
    [
      "nobody would say who failed",
      { "dead-server-cleanup": "60" },
      "dead-server-cleanup: needs gossip",
    ],
  ])("an agent is refused when %s", (_, flags, line) => {
    expect(refusal(flags).some((each) => each.startsWith(line))).toBe(true);
  });
});

describe("precedence", () => {
  const yaml = file("precedence.yaml", "rpc-port: 1111\nlog-level: warn\nindex: file\n");

  test("a flag wins over the environment, which wins over the file, which wins over the default", () => {
    const env = { CAIRN_RPC_PORT: "2222", CAIRN_LOG_LEVEL: "error" };
    const config = load({ "config-file": yaml, "rpc-port": "3333" }, env);
    expect(config.listenPort).toBe(3333);
    expect(config.logLevel).toBe("error");
    expect(config.index).toBe("file");
    expect(config.electionTimeoutMs).toBe(1000);
  });

  test("the environment may name the file", () => {
    expect(load({}, { CAIRN_CONFIG_FILE: yaml }).listenPort).toBe(1111);
  });

  test("an empty variable counts as not set", () => {
    expect(load({ "config-file": yaml }, { CAIRN_RPC_PORT: "" }).listenPort).toBe(1111);
  });

  test.each([...SETTINGS.keys()].filter((key) => key !== "config-file"))(
    "%s can be given in each of the three ways",
    (key) => {
      // A blank is no value of any setting, so the refusal tells where it was read.
      const told = (flags: Record<string, unknown>, env: Record<string, string> = {}) => {
        try {
          loadAgentConfig(flags, env);
        } catch (error) {
          if (error instanceof CommandError) return error.message;
        }
        return "accepted";
      };
      expect(told({ [key]: " " })).toContain(`(--${key})`);
      expect(told({}, { [environmentName(key)]: " " })).toContain(`(${environmentName(key)})`);
      const name = file("blank.yaml", `\n${key}: " "\n`);
      expect(told({ "config-file": name })).toContain("blank.yaml:2)");
    },
  );
});

describe("a list of members", () => {
  test("it is read from text, from a list and from a map", () => {
    const wanted = [
      { id: "n1", address: "h1:1" },
      { id: "n2", address: "[::1]:2" },
    ];
    const forms = [
      "peers: n1=h1:1,n2=[::1]:2",
      'peers: [ "n1=h1:1", "n2=[::1]:2" ]',
      'peers:\n  n2: "[::1]:2"\n  n1: h1:1',
    ];
    for (const form of forms) {
      const config = load({ ...peerTls, "config-file": file("peers.yaml", form) });
      expect(config.members).toEqual(wanted);
    }
  });

  test.each([
    ["n1", 'peers: expected id=host:port,id=host:port,..., got "n1" (--peers)'],
    [
      "n1=h1",
      'peers: expected id=host:port,id=host:port,...; "h1" of n1 is not host:port with a port 1 to 65535, got "n1=h1" (--peers)',
    ],
    [
      "n1=h1:0",
      'peers: expected id=host:port,id=host:port,...; "h1:0" of n1 is not host:port with a port 1 to 65535, got "n1=h1:0" (--peers)',
    ],
    ["n1=h1:1,n1=h2:2", 'peers: the member n1 is listed twice, got "n1=h1:1,n1=h2:2" (--peers)'],
    [
      "n1=h1:1,n2=h1:1",
      'peers: n1 and n2 have the same address h1:1, got "n1=h1:1,n2=h1:1" (--peers)',
    ],
    ["n2=h1:1,n3=h2:1", 'peers: node-name is "n1" (--node-name), the list has n2, n3 (--peers)'],
  ])("the list %j is refused with one line", (peers, line) => {
    expect(refusal({ peers, ...peerTls })).toEqual([line]);
  });

  test("two lists with the same members name the same cluster, whatever their order", () => {
    const a = load({ peers: "n1=h1:1,n2=h2:2", ...peerTls });
    const b = load({ peers: "n2=h2:2,n1=h1:1", ...peerTls });
    const c = load({ peers: "n1=h1:1,n3=h2:2", ...peerTls });
    expect(a.clusterId).toMatch(/^[0-9a-f]{32}$/);
    expect(b.clusterId).toBe(a.clusterId);
    expect(c.clusterId).not.toBe(a.clusterId);
  });

  test("a cluster id of 32 hex digits stays as it is and any other name is hashed", () => {
    const digits = "0123456789ABCDEF0123456789abcdef";
    expect(load({ "cluster-id": digits }).clusterId).toBe(digits.toLowerCase());
    expect(load({ "cluster-id": "orders" }).clusterId).toMatch(/^[0-9a-f]{32}$/);
    expect(load({ "cluster-id": "orders" }).clusterId).toBe(
      load({}, { CAIRN_CLUSTER_ID: "orders" }).clusterId,
    );
  });

  test("members without certificates for each other are refused", () => {
    expect(refusal({ peers: threePeers })).toEqual([
      "peer-tls-cert-file: missing: members talk over mutual TLS only; make the files with `cairn certs`, name them with certs-dir",
    ]);
  });
});

describe("mistakes", () => {
  test.each([
    ["rpc-port", "http", 'rpc-port: expected a port from 1 to 65535, got "http" (--rpc-port)'],
    ["rpc-port", "70000", 'rpc-port: expected a port from 1 to 65535, got "70000" (--rpc-port)'],
    ["rpc-port", "1e3", 'rpc-port: expected a port from 1 to 65535, got "1e3" (--rpc-port)'],
    ["index", "btree", 'index: expected auto, mmap or file, got "btree" (--index)'],
    [
      "log-level",
      "loud",
      'log-level: expected debug, info, warn or error, got "loud" (--log-level)',
    ],
    ["bootstrap", "maybe", 'bootstrap: expected true or false, got "maybe" (--bootstrap)'],
    [
      "bind-addr",
      "127.0.0.1:0",
      "bind-addr: expected a host name or an IP address, or host:port for gossip, " +
        'got "127.0.0.1:0" (--bind-addr)',
    ],
    [
      "start-join-addrs",
      "10.0.0.1:7946,",
      "start-join-addrs: expected host:port,host:port,... of members' gossip, " +
        'got "10.0.0.1:7946," (--start-join-addrs)',
    ],
    [
      "bootstrap-expect",
      "0",
      'bootstrap-expect: expected a number of voters from 1 to 99, got "0" (--bootstrap-expect)',
    ],
    [
      "dead-server-cleanup",
      "never",
      "dead-server-cleanup: expected seconds from 1 to 31536000, " +
        'got "never" (--dead-server-cleanup)',
    ],
    [
      "heartbeat-ms",
      "900",
      "heartbeat-ms: expected at most half of the election timeout (1000 ms), got 900 ms (--heartbeat-ms)",
    ],
  ])("%s=%s gets one line", (key, value, line) => {
    expect(refusal({ [key]: value })).toEqual([line]);
  });

  test("a bad node name is refused", () => {
    expect(refusal({ "node-name": "a b" })).toEqual([
      'node-name: expected a name: 1 to 63 letters, digits, dots, dashes or underscores, a letter or digit first, got "a b" (--node-name)',
    ]);
  });

  test("a mistake in the environment names the variable", () => {
    expect(refusal({}, { CAIRN_RPC_PORT: "x" })).toEqual([
      'rpc-port: expected a port from 1 to 65535, got "x" (CAIRN_RPC_PORT)',
    ]);
  });

  test("a mistake in the file names its line", () => {
    const name = file("mistake.yaml", "# a node\nnode-name: n1\n\nrpc-port: [1, 2]\n");
    expect(refusal({ "config-file": name })).toEqual([
      `rpc-port: expected a port from 1 to 65535, got [1,2] (${name}:4)`,
    ]);
  });

  test("an unknown key in the file is refused with its line and the key that was meant", () => {
    const name = file("unknown.yaml", "node-name: n1\nacl-mode-file: model.conf\nfoo: 1\n");
    expect(refusal({ "config-file": name })).toEqual([
      `acl-mode-file: no such setting in a file; did you mean acl-model-file? (${name}:2)`,
      `foo: no such setting in a file (${name}:3)`,
    ]);
  });

  test("an unknown variable is refused with the one that was meant", () => {
    expect(refusal({}, { CAIRN_DATADIR: "x" })).toEqual([
      "CAIRN_DATADIR: no such setting; did you mean CAIRN_DATA_DIR? (environment)",
    ]);
  });

  test("a file that is not YAML is refused with its line", () => {
    const name = file("broken.yaml", "node-name: n1\npeers: {a: b\n");
    const lines = refusal({ "config-file": name });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^config-file: not YAML: .* \(.*broken\.yaml:\d+\)$/);
  });

  test("a key that stands twice in the file is refused", () => {
    const name = file("twice.yaml", "rpc-port: 1\nrpc-port: 2\n");
    expect(refusal({ "config-file": name })[0]).toMatch(/not YAML: .*unique.*twice\.yaml:2\)$/);
  });

  test("a file that is no map of settings is refused", () => {
    const name = file("list.yaml", "- a\n- b\n");
    expect(refusal({ "config-file": name })).toEqual([
      `config-file: expected a map of settings (${name}:1)`,
    ]);
  });

  test("a missing file is refused", () => {
    const name = path.join(folder, "none.yaml");
    expect(refusal({}, { CAIRN_CONFIG_FILE: name })).toEqual([
      `config-file: cannot read ${name}: ENOENT (CAIRN_CONFIG_FILE)`,
    ]);
  });

  test("an empty file is no mistake", () => {
    expect(load({ "config-file": file("empty.yaml", "# nothing\n") }).listenPort).toBe(8400);
  });

  test("half a set of TLS files is refused, and each missing one has its line", () => {
    expect(refusal({ "server-tls-cert-file": "s.pem" })).toEqual([
      "server-tls-key-file: missing: server-tls-cert-file is set (--server-tls-cert-file)",
      "server-tls-ca-file: missing: server-tls-cert-file is set (--server-tls-cert-file)",
    ]);
  });

  test("a folder of certificates stands for all six files, and a file given by itself wins", () => {
    const server = {
      "server-tls-cert-file": "s.pem",
      "server-tls-key-file": "s-key.pem",
      "server-tls-ca-file": "s-ca.pem",
    };
    const config = load({ peers: threePeers, "certs-dir": "certs", ...server });
    expect(config.peerTls).toEqual({
      cert: path.join("certs", "n1.pem"),
      key: path.join("certs", "n1-key.pem"),
      ca: path.join("certs", "ca.pem"),
    });
    expect(config.serverTls).toEqual({ cert: "s.pem", key: "s-key.pem", ca: "s-ca.pem" });
  });

  test("bootstrap beside a list of members is refused", () => {
    expect(refusal({ bootstrap: true, peers: "n1=h:1" })).toEqual([
      "bootstrap: begins a cluster of one; with peers the list is the cluster: leave one of them out (--bootstrap)",
    ]);
  });

  test("all mistakes are told at once", () => {
    const name = file("many.yaml", "rpc-port: x\n");
    expect(refusal({ index: "x", "config-file": name }, { CAIRN_LOG_LEVEL: "x" })).toHaveLength(3);
  });
});
