// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const count = (number) => whole.format(number);

export const plural = (number, word, words = `${word}s`) => `${count(number)} ${number === 1 ? word : words}`;

/** A rate: tenths while they tell anything. */
export const rate = (number) => (number < 100 ? tenths : whole).format(number);

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${(number < 100 && unit > 0 ? tenths : whole).format(number)} ${units[unit]}`;
}

/** A span in its two largest units at most. */
export function span(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [place, [unit, length]] of parts.entries()) {
    if (seconds >= length) {
      const major = Math.floor(seconds / length);
      const [minor, minorLength] = parts[place + 1] ?? ["s", 1];
      const rest = Math.floor((seconds % length) / minorLength);
      return rest > 0 ? `${major} ${unit} ${rest} ${minor}` : `${major} ${unit}`;
    }
  }
  return `${Math.floor(seconds)} s`;
}

export const ago = (seconds) => (seconds < 1 ? "just now" : `${span(seconds)} ago`);
