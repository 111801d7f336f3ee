'use strict';
// Writes Hessian2 bodies as hessian.js does, told as the Java peer's Values is. The package is found by NODE_PATH.

const readline = require('readline');
const {EncoderV2} = require('hessian.js');

const LISTS = {list: null, linked: 'java.util.LinkedList', set: 'java.util.LinkedHashSet', objects: '[object', ints: '[int'};
const NUMBERS = {nan: NaN, inf: Infinity, '-inf': -Infinity};

class Maker {
  constructor() {
    this.made = [];
  }

  add(value) {
    this.made.push(value);
    return value;
  }

  make([kind, value, more]) {
    switch (kind) {
      case 'N': return null;
      case 'Z': return value;
      case 'I': return {$class: 'int', $: value};
      case 'J': return {$class: 'long', $: value};
      case 'D': return {$class: 'double', $: value in NUMBERS ? NUMBERS[value] : Number(value)};
      case 'T': return new Date(Number(value));
      case 'S': return value.repeat(more);
      case 'B': return Buffer.alloc(more, value & 0xff);
      case 'L': return this.list(LISTS[value], more);
      case 'M': return this.map(value, more);
      case 'O': return this.object(value, more);
      case '0': return this.add({$class: 'meshfast.peer.Values$Nothing', $: {}});
      case 'E': return this.add({$class: 'meshfast.peer.Values$Colour', $: {name: value}});
      case 'X': return this.thrown(value);
      case 'G': return this.add({$class: 'java.math.BigDecimal', $: {value}});
      case 'R': return this.made[value];
      case 'P': return this.pile(value, more);
    }
    throw new Error(`no such kind: ${kind}`);
  }

  list(type, told) {
    const items = [];
    const list = this.add(type ? {$class: type, $: items} : items);
    told.forEach(one => items.push(this.make(one)));
    return list;
  }

  map(type, told) {
    const pairs = new Map();
    const map = this.add(type === 'hash' ? pairs : {$class: 'java.util.HashMap', $: pairs});
    told.forEach(([key, value]) => pairs.set(this.make(key), this.make(value)));
    return map;
  }

  object(number, [left, right]) {
    const fields = {number: {$class: 'int', $: number}, left: null, right: null};
    const object = this.add({$class: `meshfast.peer.Values$C${number}`, $: fields});
    fields.left = this.make(left);
    fields.right = this.make(right);
    return object;
  }

  thrown(message) {
    const trace = {$class: '[java.lang.StackTraceElement', $: [1, 2].map(line => ({
      $class: 'java.lang.StackTraceElement',
      $: {declaringClass: 'a.B', methodName: 'm', fileName: 'B.java', lineNumber: {$class: 'int', $: line}},
    }))};
    const fields = {detailMessage: message, cause: null, stackTrace: trace, suppressedExceptions: []};
    return this.add({$class: 'java.lang.IllegalStateException', $: fields});
  }

  pile(kind, depth) {
    let inner = null;
    for (let i = 0; i < depth; i++) {
      if (kind === 'list') {
        inner = [inner];
      } else if (kind === 'map') {
        inner = new Map([['k', inner]]);
      } else {
        inner = {$class: 'meshfast.peer.Values$C0', $: {number: {$class: 'int', $: 0}, left: inner, right: null}};
      }
      this.made.push(null);
    }
    return inner;
  }
}

function encode({strings, values, attachments}) {
  const encoder = new EncoderV2({size: 1024});
  const maker = new Maker();
  const ends = [];
  strings.forEach(text => encoder.writeString(text));
  for (const value of values) {
    encoder.write(maker.make(value));
    ends.push(encoder.get().length);
  }
  encoder.write(attachments);
  return {body: encoder.get().toString('base64'), ends};
}

readline.createInterface({input: process.stdin}).on('line', line => {
  process.stdout.write(JSON.stringify(encode(JSON.parse(line))) + '\n');
});
