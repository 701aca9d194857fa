// NestJS: a microservice that answers over NATS, its decorators applied as TypeScript would, and a client of it.
require("reflect-metadata");
const { Controller, Module } = require("@nestjs/common");
const { NestFactory } = require("@nestjs/core");
const { ClientProxyFactory, EventPattern, MessagePattern, Transport } = require("@nestjs/microservices");
const { firstValueFrom } = require("rxjs");

const { NATS_URL, SANDBOX_ID, SANDBOX_NATS_PREFIX } = process.env;
const { NATS_USER: user, NATS_PASSWORD: pass } = process.env;
const [sum, joined] = [`${SANDBOX_NATS_PREFIX}work.sum`, `${SANDBOX_NATS_PREFIX}work.joined`];

class Members {
  static heard = new Promise((resolve) => (Members.hear = resolve));

  add(numbers) {
    return numbers.reduce((total, number) => total + number, 0);
  }

  welcome(name) {
    Members.hear(name);
  }
}

class App {}

const method = (name) => [Members.prototype, name, Object.getOwnPropertyDescriptor(Members.prototype, name)];
MessagePattern(sum)(...method("add"));
EventPattern(joined)(...method("welcome"));
Controller()(Members);
Module({ controllers: [Members] })(App);

async function main() {
  const inboxPrefix = `_INBOX_${SANDBOX_ID.replaceAll("-", "")}`;
  const options = { servers: NATS_URL.split(","), user, pass, inboxPrefix, queue: "members" };
  const service = await NestFactory.createMicroservice(App, { transport: Transport.NATS, options, logger: ["error"] });
  await service.listen();
  const client = ClientProxyFactory.create({ transport: Transport.NATS, options });
  const total = await firstValueFrom(client.send(sum, [40, 2]));
  client.emit(joined, "Ada");
  console.log(`answered ${total}, heard that ${await Members.heard} joined`);
  await client.close();
  await service.close();
}

main();
