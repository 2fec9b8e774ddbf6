// May this subject do this to that? Decided by Casbin in production, denied by default.

export interface Authorizer {
  /** Synchronous: a request is decided before any work is done for it. */
  allows(subject: string, object: string, action: string): boolean;
}
