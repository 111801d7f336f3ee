'use strict';
// Commands as JSON lines on stdin, answers on stdout, as the Java peer's Driver. The package is found by NODE_PATH.

const readline = require('readline');
const {DirectlyDubbo, java} = require('apache-dubbo-js');

const SERVICE = 'meshfast.peer.PeerService';
const references = new Map();

function refer({ref, address, timeout}) {
  const dubbo = DirectlyDubbo.from({
    dubboAddress: address,
    dubboVersion: '2.0.2',
    dubboInvokeTimeout: timeout || 10,
  });
  references.set(ref, dubbo.proxyService({
    dubboInterface: SERVICE,
    methods: {
      whoami() {},
      nothing() {},
      echo: text => [java.String(text)],
      ask: text => [java.String(text)],
      slow: (millis, text) => [java.int(millis), java.String(text)],
      fail: message => [java.String(message)],
      failChecked: message => [java.String(message)],
      attachments() {},
    },
  }));
}

async function call({ref, method, args}) {
  const {res, err} = await references.get(ref)[method](...args);
  if (err) {
    throw err;
  }
  return res;
}

async function flood({ref, threads, calls}) {
  const report = {good: 0, wrong: 0, failed: 0, errors: {}};
  const one = async thread => {
    for (let i = 0; i < calls; i++) {
      const question = `${thread}-${i}`;
      try {
        const answer = await call({ref, method: 'ask', args: [question]});
        report[answer.slice(answer.indexOf('|') + 1) === question ? 'good' : 'wrong']++;
      } catch (error) {
        report.failed++;
        report.errors[error.message] = (report.errors[error.message] || 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({length: threads}, (_, thread) => one(thread)));
  return report;
}

const operations = {refer, call, flood};

readline.createInterface({input: process.stdin}).on('line', async line => {
  const command = JSON.parse(line);
  const reply = {id: command.id, ok: true};
  try {
    reply.value = (await operations[command.op](command)) ?? null;
  } catch (error) {
    Object.assign(reply, {ok: false, error: error.name, message: String(error.message)});
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
}).on('close', () => process.exit(0));
