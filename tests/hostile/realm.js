// What a realm is made of: everything reachable from the global object through properties and prototypes, hashed for
// each name of the global. Two realms that were never touched give the same text.
const seen = new Map();

function describe(value) {
    switch (typeof value) {
        case 'function': {
            const source = Function.prototype.toString.call(value);
            return source.includes('[native code]') ? 'native' : source;
        }
        case 'object': return value === null ? 'null' : Object.prototype.toString.call(value);
        case 'symbol': return 'symbol';
        case 'number': return Object.is(value, -0) ? '-0' : String(value);
        default: return typeof value + ' ' + String(value);
    }
}

// FNV-1a over UTF-16 units.
function mix(hash, text) {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
    return hash;
}

function walk(hash, root) {
    const waiting = [root];
    while (waiting.length > 0) {
        const value = waiting.pop();
        hash = mix(hash, describe(value));
        if (value === null || typeof value !== 'object' && typeof value !== 'function') continue;
        if (seen.has(value)) {
            hash = mix(hash, '#' + seen.get(value));
            continue;
        }
        seen.set(value, seen.size);
        hash = mix(hash, Object.isExtensible(value) ? 'open' : 'closed');
        waiting.push(Object.getPrototypeOf(value));
        for (const key of Reflect.ownKeys(value)) {
            const property = Object.getOwnPropertyDescriptor(value, key);
            hash = mix(hash, String(key) + property.enumerable + property.configurable + property.writable);
            if ('value' in property) waiting.push(property.value);
            else waiting.push(property.get, property.set);
        }
    }
    return hash;
}

seen.set(globalThis, 0);
const lines = [];
for (const key of Reflect.ownKeys(globalThis).sort((a, b) => String(a) < String(b) ? -1 : 1)) {
    const property = Object.getOwnPropertyDescriptor(globalThis, key);
    const flags = [property.enumerable, property.configurable, property.writable].map(Number).join('');
    const hash = 'value' in property ? walk(2166136261, property.value) : walk(walk(2166136261, property.get), property.set);
    lines.push(`${String(key)} ${flags} ${(hash >>> 0).toString(36)}`);
}
return lines.join('\n');
