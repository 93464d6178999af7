// An operating system in small, after the idea of Richards: objects, methods that are found at run time, linked lists.
class Packet {
  constructor(link, id, kind) { this.link = link; this.id = id; this.kind = kind; this.datum = 0; this.data = [0, 0, 0, 0]; }
  appendTo(queue) {
    this.link = null;
    if (queue === null) return this;
    let last = queue;
    while (last.link !== null) last = last.link;
    last.link = this;
    return queue;
  }
}
class Task {
  constructor(scheduler, id, priority, queue) {
    this.scheduler = scheduler; this.id = id; this.priority = priority; this.queue = queue;
    this.held = false; this.waiting = queue === null; this.runs = 0;
  }
  get ready() { return !this.held && (!this.waiting || this.queue !== null); }
  take() { const packet = this.queue; if (packet !== null) this.queue = packet.link; this.waiting = false; return packet; }
  step() { this.runs++; this.run(this.take()); }
}
class Idle extends Task {
  constructor(scheduler, id, count) { super(scheduler, id, 0, null); this.waiting = false; this.count = count; this.control = 1; }
  run() {
    if (--this.count === 0) { this.held = true; return; }
    if ((this.control & 1) === 0) { this.control >>= 1; this.scheduler.release(4); }
    else { this.control = (this.control >> 1) ^ 0xd008; this.scheduler.release(5); }
  }
}
class Device extends Task {
  constructor(scheduler, id, priority) { super(scheduler, id, priority, null); this.pending = null; }
  run(packet) {
    if (packet !== null) { this.pending = packet; this.held = true; this.scheduler.holds++; return; }
    if (this.pending === null) { this.waiting = true; return; }
    const done = this.pending;
    this.pending = null;
    this.scheduler.send(done);
  }
}
class Worker extends Task {
  constructor(scheduler, id, priority, queue) { super(scheduler, id, priority, queue); this.target = 2; this.letter = 0; }
  run(packet) {
    if (packet === null) { this.waiting = true; return; }
    this.target = 5 - this.target;
    packet.id = this.target;
    packet.datum = 0;
    for (let i = 0; i < 4; i++) { this.letter = (this.letter % 26) + 1; packet.data[i] = this.letter; }
    this.scheduler.send(packet);
  }
}
class Handler extends Task {
  constructor(scheduler, id, priority, queue) { super(scheduler, id, priority, queue); this.work = null; this.devices = null; }
  run(packet) {
    if (packet !== null) {
      if (packet.kind === 1) this.work = packet.appendTo(this.work);
      else this.devices = packet.appendTo(this.devices);
    }
    if (this.work !== null) {
      const work = this.work;
      if (work.datum === 4) { this.work = work.link; this.scheduler.send(work); return; }
      if (this.devices !== null) {
        const device = this.devices;
        this.devices = device.link;
        device.datum = work.data[work.datum++];
        this.scheduler.send(device);
        return;
      }
    }
    this.waiting = true;
  }
}
class Scheduler {
  constructor() { this.tasks = []; this.sent = 0; this.holds = 0; this.current = null; }
  add(task) { this.tasks[task.id] = task; }
  release(id) { this.tasks[id].held = false; }
  send(packet) {
    this.sent++;
    const to = this.tasks[packet.id];
    packet.id = this.current.id;
    to.queue = packet.appendTo(to.queue);
  }
  run() {
    const order = this.tasks.slice().sort((a, b) => b.priority - a.priority);
    for (;;) {
      const next = order.find((task) => task.ready);
      if (next === undefined) return;
      this.current = next;
      next.step();
    }
  }
}
const packets = (id, kind, count) => { let first = null; for (let i = 0; i < count; i++) first = new Packet(first, id, kind); return first; };
const scheduler = new Scheduler();
scheduler.add(new Idle(scheduler, 0, 60000));
scheduler.add(new Worker(scheduler, 1, 1000, packets(1, 1, 2)));
scheduler.add(new Handler(scheduler, 2, 2000, packets(4, 0, 3)));
scheduler.add(new Handler(scheduler, 3, 3000, packets(5, 0, 3)));
scheduler.add(new Device(scheduler, 4, 4000));
scheduler.add(new Device(scheduler, 5, 5000));
scheduler.run();
[scheduler.sent, scheduler.holds, ...scheduler.tasks.map((task) => task.runs)];
