// mqtt.js against a broker: the folder of the package, PORT, then 4 (MQTT 3.1.1) or 5, and mqtt or ws. Ends with 1 where something fails.
const assert = require('assert')
const [folder, port, version, scheme] = process.argv.slice(2)
const mqtt = require(folder)
const five = version === '5'

async function client(clientId, { clean = true, will } = {}) {
  const options = { clientId, clean, protocolVersion: Number(version), reconnectPeriod: 0, connectTimeout: 30000, manualConnect: true }
  if (five) options.properties = { sessionExpiryInterval: clean ? 0 : 600 }
  if (will) options.will = { topic: will, payload: 'gone', qos: 1, retain: false }
  const c = mqtt.connect(`${scheme}://127.0.0.1:${port}`, options)
  const came = [], waiting = []
  c.on('message', (topic, payload, packet) => {
    const message = { topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, properties: packet.properties }
    waiting.length ? waiting.shift()(message) : came.push(message)
  })
  c.on('error', () => {})
  const connack = new Promise((resolve) => c.once('connect', resolve))
  c.connect()
  c.present = (await connack).sessionPresent
  c.message = () => (came.length ? Promise.resolve(came.shift()) : new Promise((resolve) => waiting.push(resolve)))
  c.expect = async (topic, payload, qos, retain = false) => {
    const m = await c.message()
    assert.deepStrictEqual([m.topic, m.payload, m.qos, m.retain], [topic, payload, qos, retain])
  }
  c.take = async (topic, qos) => assert.strictEqual((await c.subscribeAsync(topic, { qos }))[0].qos, qos)
  return c
}

async function scenario() {
  const one = await client('one'), two = await client('two')
  for (const qos of [0, 1, 2]) {
    await one.take(`q/${qos}/+`, qos)
    for (const sent of [0, 1, 2]) {
      await two.publishAsync(`q/${qos}/${sent}`, 'x', { qos: sent })
      await one.expect(`q/${qos}/${sent}`, 'x', Math.min(qos, sent))
    }
  }
  await one.take('o/#', 0)
  await one.take('o/+', 2)
  await two.publishAsync('o/a', 'once', { qos: 2 })
  await two.publishAsync('o/end', 'x', { qos: 1 })
  await one.expect('o/a', 'once', 2)
  await one.expect('o/end', 'x', 1)

  const large = 'x'.repeat(1024 * 1024)
  await one.take('large', 2)
  for (const qos of [0, 1, 2]) {
    await two.publishAsync('large', large, { qos })
    await one.expect('large', large, qos)
  }

  await two.publishAsync('r/a', 'kept', { qos: 1, retain: true })
  await one.take('r/#', 1)
  await one.expect('r/a', 'kept', 1, true)
  await two.publishAsync('r/a', '', { qos: 1, retain: true })
  await one.expect('r/a', '', 1)

  await one.take('w', 1)
  const rude = await client('rude', { will: 'w' })
  rude.stream.destroy()
  await one.expect('w', 'gone', 1)

  let lasting = await client('lasting', { clean: false })
  assert(!lasting.present)
  await lasting.take('p', 2)
  await lasting.endAsync()
  for (let n = 0; n < 20; n++) await two.publishAsync('p', `${n}`, { qos: 1 + (n % 2) })
  lasting = await client('lasting', { clean: false })
  assert(lasting.present)
  // A message of QoS 2 is handed out when it is released, and so behind later ones of QoS 1.
  const all = []
  for (let n = 0; n < 20; n++) all.push(await lasting.message())
  all.sort((a, b) => Number(a.payload) - Number(b.payload))
  all.forEach((m, n) => assert.deepStrictEqual([m.payload, m.qos], [`${n}`, 1 + (n % 2)]))

  const closed = new Promise((resolve) => lasting.once('close', resolve))
  const other = await client('lasting', { clean: false })
  await closed
  assert(other.present)
  await two.publishAsync('p', 'mine', { qos: 2 })
  await other.expect('p', 'mine', 2)

  if (five) {
    await one.take('v5', 1)
    const properties = { userProperties: { k: 'v' }, contentType: 'text', responseTopic: 'back', messageExpiryInterval: 100 }
    await two.publishAsync('v5', 'x', { qos: 1, properties })
    const came = (await one.message()).properties
    assert.strictEqual(came.userProperties.k, 'v')
    assert.deepStrictEqual([came.contentType, came.responseTopic], ['text', 'back'])
    assert(came.messageExpiryInterval > 0 && came.messageExpiryInterval <= 100)
  }
  for (const c of [one, two, other]) await c.endAsync()
}

scenario().then(() => console.log('ok'), (error) => { console.error(error); process.exit(1) })
