// gRPC for Node, with the proto file. Arguments: ADDRESS PROTO_DIRECTORY KEY CA CERTIFICATE KEY_FILE. Prints what each got.

import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [address, protos, key, ca, certificate, keyFile] = process.argv.slice(2);
const loaded = loader.loadSync('ferromcp/v1/ferromcp.proto', { includeDirs: [protos], enums: String, oneofs: true });
const { FerroMcpService } = grpc.loadPackageDefinition(loaded).ferromcp.v1;

const root = readFileSync(ca);
const plain = grpc.credentials.createSsl(root);
const own = grpc.credentials.createSsl(root, readFileSync(keyFile), readFileSync(certificate));
const keyed = new grpc.Metadata();
keyed.set('authorization', `Bearer ${key}`);

const echo = { tool: 'echo', arguments: Buffer.from('{"msg":"hi"}') };
const text = (answer) => JSON.parse(answer.result).content[0].text;

function call(client, metadata = new grpc.Metadata(), request = echo, options = {}) {
  return new Promise((resolve) => {
    client.callTool(request, metadata, options, (error, answer) => {
      resolve(error ? grpc.status[error.code] : text(answer));
    });
  });
}

function batch(client) {
  const request = {
    calls: [
      { id: 'b', tool: 'echo', arguments: Buffer.from('{"msg":{"$result":"a"}}') },
      { id: 'a', ...echo },
    ],
    maxParallel: 2,
  };
  return new Promise((resolve, reject) => {
    const seen = [];
    const stream = client.batchCall(request);
    stream.on('data', ({ result, summary }) => {
      seen.push(result ? `${result.id} ${text(result.response)}` : `${summary.succeeded} of 2`);
    });
    stream.on('error', reject);
    stream.on('end', () => resolve(seen));
  });
}

function mcp(client) {
  const params = {
    name: 'echo',
    arguments: { msg: 'hi' },
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  };
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
  return new Promise((resolve, reject) => {
    const stream = client.mcp();
    let answer;
    stream.on('data', (data) => {
      answer = JSON.parse(data.message);
      stream.end();
    });
    stream.on('error', reject);
    stream.on('end', () => resolve(answer.result.content[0].text));
    stream.write({ message: Buffer.from(JSON.stringify(message)) });
  });
}

const anonymous = new FerroMcpService(address, plain);
const certified = new FerroMcpService(address, own);
const answers = {
  key: await call(anonymous, keyed),
  certificate: await call(certified),
  nobody: await call(anonymous),
  late: await call(certified, undefined, echo, { deadline: Date.now() - 1 }),
  packed: await call(certified, undefined, echo, { 'grpc.default_compression_algorithm': 2 }),
  batch: await batch(certified),
  mcp: await mcp(certified),
};
console.log(JSON.stringify(answers));
anonymous.close();
certified.close();
