import type { Server } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket, Server as TlsServer } from "node:tls";

export type Connections = {
  readonly open: number;
  /** Closed at once because there were too many. */
  readonly refused: number;
  /** Closes those on which nothing was ever asked, which HTTP does not count as idle. */
  closeSilent(): void;
  /** Closes all, those still shaking hands included, of which HTTP does not know yet. */
  closeAll(): void;
};

/** Counts a server's connections, encrypted or not. */
export function watchConnections(server: Server): Connections {
  const open = new Set<Socket>();
  /** Of the other side → the connection on which it speaks: over TLS the plain side of the one that carries it. */
  const speaking = new Map<string, Socket>();
  let refused = 0;
  server.on("connection", (socket: Socket) => {
    const other = nameOf(socket);
    open.add(socket);
    speaking.set(other, socket);
    socket.once("close", () => {
      open.delete(socket);
      speaking.delete(other);
    });
  });
  // Over TLS what was read from the carrying connection tells nothing: handshakes are read as well.
  server.on("secureConnection", (socket: Socket) => {
    if (speaking.has(nameOf(socket))) speaking.set(nameOf(socket), socket);
  });
  server.on("drop", () => {
    refused += 1;
  });
  return {
    get open() {
      return open.size;
    },
    get refused() {
      return refused;
    },
    closeSilent() {
      for (const socket of speaking.values()) {
        const is_shaking_hands = server instanceof TlsServer && !(socket instanceof TLSSocket);
        if (is_shaking_hands || socket.bytesRead === 0) socket.destroy();
      }
    },
    closeAll() {
      for (const socket of open) socket.destroy();
    },
  };
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
