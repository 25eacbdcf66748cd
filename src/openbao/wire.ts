/** One request and its answer, over HTTP/1.1. Nothing is repeated and no redirect is followed. */
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface Answer {
  readonly status: number;
  /** The parsed body; null where there is none, or none that is JSON. */
  readonly body: unknown;
}

/** No answer came. `sent`: the request may have reached the server. */
export class NoAnswer extends Error {
  readonly sent: boolean;
  constructor(sent: boolean, message: string) {
    super(message);
    this.name = 'NoAnswer';
    this.sent = sent;
  }
}

export interface Wire {
  /** @throws NoAnswer */
  send(method: 'GET' | 'POST' | 'DELETE', path: string, headers: Readonly<Record<string, string>>, body: unknown, signal: AbortSignal): Promise<Answer>;
  close(): void;
}

const ANSWER_BYTES_MAX = 32 * 1024 * 1024;
const SOCKETS_MAX = 8;

/** Connections to one server, kept for one operation. */
export function openWire(url: URL, ca: string | undefined): Wire {
  const secure = url.protocol === 'https:';
  const options = { keepAlive: true, maxSockets: SOCKETS_MAX };
  const agent = secure ? new HttpsAgent({ ...options, ...(ca === undefined ? {} : { ca }) }) : new HttpAgent(options);
  return {
    send: (method, path, headers, body, signal) => new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(new NoAnswer(false, 'the deadline has passed'));
        return;
      }
      const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
      const request: ClientRequest = (secure ? httpsRequest : httpRequest)({
        agent, signal, method, path, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
        headers: { ...headers, ...(bytes === null ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }) },
      });
      let connected = false;
      const fail = (error: Error): void => reject(new NoAnswer(connected, signal.aborted ? 'the deadline has passed' : reasonOf(error)));
      request.on('socket', (socket) => {
        if (request.reusedSocket) connected = true;
        else socket.once(secure ? 'secureConnect' : 'connect', () => (connected = true));
      });
      request.on('error', fail);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('error', fail);
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > ANSWER_BYTES_MAX) request.destroy(new Error('an answer too large to be read'));
          else chunks.push(chunk);
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString('utf8')) }));
      });
      request.end(bytes ?? undefined);
    }),
    close: () => agent.destroy(),
  };
}

/** The code alone where there is one: messages of the TLS library can be long, and none may quote what was sent. */
function reasonOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
