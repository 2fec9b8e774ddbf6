// One node a data directory: a lock that dies with its process, whatever kills it. Owns the lock
// only; a pid file would outlive a kill -9 and then accuse whoever got the same pid.
//
// The lock is a listening Unix socket, which the kernel closes with its process and which can tell
// the pid of its holder. Two of them: (1) on Linux an abstract socket named after the directory's
// device and inode, taken and lost atomically, but seen only within one network namespace; (2)
// everywhere a socket file `.lock` in the directory, seen by every container that mounts it. A
// socket file outlives its process, so a stale one must be replaced, and two starters can both find
// it stale: (1) decides between them. Machines that share a directory over a network see neither:
// do not do that.

import { close, fstat, open } from "node:fs";
import { unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

import { makeDataDirectory } from "./data-directory.ts";

const openAsync = promisify(open);
const closeAsync = promisify(close);

/** A holder that was just killed may take this many looks to let go. */
const ATTEMPTS_MAX = 30;
const RETRY_MS = 50;
const ANSWER_MS_MAX = 500;
const ANSWER_BYTES_MAX = 256;
/** Unix socket paths end here on the strictest system; a longer one would be cut, silently. */
const SOCKET_PATH_BYTES_MAX = 103;
const LOCK_FILE = ".lock";

/** Another process has the directory. */
export class DataDirectoryInUse extends Error {
  override readonly name = "DataDirectoryInUse";
  readonly directory: string;
  /** Null when the holder does not say. */
  readonly pid: number | null;

  constructor(directory: string, pid: number | null) {
    const holder = pid === null ? "another process" : `the process with pid ${pid}`;
    super(
      `data directory ${directory} is in use by ${holder}: ` +
        "stop it first, or give this node a directory of its own",
    );
    this.directory = directory;
    this.pid = pid;
  }
}

export interface DataLock {
  release(): Promise<void>;
}

/**
 * Makes the directory where it is absent, and locks it. Rejects with DataDirectoryInUse, or with
 * the system's error when the directory cannot be made or opened. The lock keeps no process alive.
 */
export async function lockDataDirectory(directory: string): Promise<DataLock> {
  await makeDataDirectory(directory);
  const fd = await openAsync(directory, "r");
  const held: Server[] = [];
  const release = async (): Promise<void> => {
    for (const server of held.reverse()) await closed(server);
    await closeAsync(fd);
  };
  try {
    await takeBoth(directory, fd, held);
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

async function takeBoth(directory: string, fd: number, held: Server[]): Promise<void> {
  const isLinux = process.platform === "linux";
  if (isLinux) {
    const name = `\0cairn-data-${await identityOf(fd)}`;
    held.push(await taken(directory, name, async () => undefined));
  }
  const lockFile = join(directory, LOCK_FILE);
  // Through the descriptor, the path is short however deep the directory lies.
  const path = isLinux ? `/proc/self/fd/${fd}/${LOCK_FILE}` : lockFile;
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new Error(
      `data directory ${directory}: its path is too long for the lock, choose another`,
    );
  }
  try {
    held.push(await taken(directory, path, () => removeStale(lockFile)));
  } catch (error) {
    // Some file systems have no sockets; on Linux the abstract one is enough then.
    if (error instanceof DataDirectoryInUse || !isLinux) throw error;
  }
}

/** The same for every path that leads to the directory. */
function identityOf(fd: number): Promise<string> {
  return new Promise((resolve, reject) => {
    fstat(fd, { bigint: true }, (error, { dev, ino }) => {
      if (error === null) resolve(`${dev.toString(16)}-${ino.toString(16)}`);
      else reject(error);
    });
  });
}

/** Listens at `path`, once whoever listened there is gone. */
async function taken(
  directory: string,
  path: string,
  removeDead: () => Promise<void>,
): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await listening(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
    const holder = await ask(path);
    if (holder.kind === "alive") throw new DataDirectoryInUse(directory, holder.pid);
    if (attempt === ATTEMPTS_MAX) throw new DataDirectoryInUse(directory, null);
    if (holder.kind === "dead") await removeDead();
    await pause(attempt === 1 ? 0 : RETRY_MS);
  }
}

function listening(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((asker) => {
      asker.on("error", () => asker.destroy());
      asker.end(`${process.pid}\n`);
    });
    server.once("error", reject);
    server.listen({ path }, () => {
      server.unref();
      resolve(server);
    });
  });
}

type Holder =
  | { readonly kind: "alive"; readonly pid: number | null }
  /** It let go between two questions, or is dying: look again. */
  | { readonly kind: "going" }
  /** Nobody listens: what is left is a file. */
  | { readonly kind: "dead" };

/** Who listens at `path`? A holder that is stopped is alive and says nothing. */
function ask(path: string): Promise<Holder> {
  return new Promise((resolve) => {
    let text = "";
    let failure: string | undefined;
    let isSilent = false;
    const socket = connect({ path });
    const timer = setTimeout(() => {
      isSilent = true;
      socket.destroy();
    }, ANSWER_MS_MAX);
    socket.setEncoding("latin1");
    socket.on("data", (part: string) => {
      text += part;
      if (text.length > ANSWER_BYTES_MAX) socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code;
    });
    socket.on("close", () => {
      clearTimeout(timer);
      const pid = /^([1-9]\d{0,9})\n$/.exec(text)?.[1];
      if (failure === "ECONNREFUSED" || failure === "ENOENT") resolve({ kind: "dead" });
      else if (pid !== undefined) resolve({ kind: "alive", pid: Number(pid) });
      else if (isSilent || text !== "") resolve({ kind: "alive", pid: null });
      else resolve({ kind: "going" });
    });
  });
}

async function removeStale(file: string): Promise<void> {
  try {
    await unlink(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
