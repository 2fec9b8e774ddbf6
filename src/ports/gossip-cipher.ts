// Sealing and opening of gossip under keys that all members share. The adapter is
// src/adapters/gossip-keyring.ts; the framing around it src/service/gossip-sealing.ts.

import type { FrozenBytes } from "../base/bytes.ts";

export interface GossipCipher {
  /** `plain` under the primary key, bound to `context`, with all that is needed to open it. */
  seal(plain: Uint8Array, context: Uint8Array): FrozenBytes;
  /** What any of the keys opens; null for everything else. `sealed` may be anything. */
  open(sealed: Uint8Array, context: Uint8Array): FrozenBytes | null;
}
