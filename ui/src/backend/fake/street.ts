/** Made-up street pictures, and where the things on them are. */

import type { Geometry } from "../../wire.gen";
import { type Random, seeded } from "./random";

export type Thing = "car" | "person" | "tree" | "building" | "sign";

export interface Street {
	width: number;
	height: number;
	svg: string;
	things: { thing: Thing; geometry: Geometry }[];
}

interface Drawn {
	thing: Thing;
	geometry: Geometry;
	svg: string;
}

const [WIDTH, HEIGHT] = [1600, 1066];
const HORIZON = 560;
const SKIES = [
	["#7fb2e5", "#dcebf7"],
	["#f3b27a", "#fbe6cf"],
	["#9aa9bd", "#d9dfe7"],
	["#4f6f9f", "#b9c9e2"],
] as const;
const PAINTS = ["#b5342b", "#2f5f9e", "#e8e6e1", "#33373d", "#c8a13a", "#5d7f62"];
const WALLS = ["#b9a58c", "#a5796a", "#8c96a3", "#c7bdae", "#7c6f66"];

export function street(seed: number): Street {
	const random = seeded(seed * 7919 + 11);
	const sky = pick(SKIES, random);
	const drawn: Drawn[] = [];
	let x = 20 + random() * 60;
	while (x < WIDTH - 220) {
		const house = building(x, random);
		drawn.push(house);
		x += (house.geometry as { width: number }).width + 10 + random() * 190;
	}
	for (let n = 0; n < 3; n++) drawn.push(tree(80 + n * 560 + random() * 260, random));
	drawn.push(sign(300 + random() * 1000));
	for (let n = 0; n < 3; n++) drawn.push(car(60 + n * 520 + random() * 120, random));
	for (let n = 0; n < 4; n++) drawn.push(person(120 + n * 380 + random() * 200, random));

	const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}">
<defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="${sky[0]}"/><stop offset="1" stop-color="${sky[1]}"/></linearGradient>
<linearGradient id="r" x2="0" y2="1"><stop stop-color="#6f7276"/><stop offset="1" stop-color="#3f4347"/></linearGradient></defs>
<rect width="${WIDTH}" height="${HEIGHT}" fill="url(#s)"/>
<path d="M0 ${HORIZON} Q 300 ${420 + random() * 80} 700 ${470 + random() * 60} T ${WIDTH} 440 V ${HORIZON + 40} H 0 Z" fill="#6f8a78" opacity=".6"/>
<rect y="${HORIZON + 60}" width="${WIDTH}" height="110" fill="#a9a59c"/>
<rect y="${HORIZON + 150}" width="${WIDTH}" height="${HEIGHT}" fill="url(#r)"/>
<path d="M0 900 H ${WIDTH}" stroke="#d8d4c4" stroke-width="8" stroke-dasharray="110 80" opacity=".8"/>
${drawn.map(({ svg }) => svg).join("\n")}</svg>`;
	return { width: WIDTH, height: HEIGHT, svg, things: drawn.map(({ thing, geometry }) => ({ thing, geometry })) };
}

const pick = <T>(from: readonly T[], random: Random): T => from[Math.floor(random() * from.length)] as T;
const box = (x: number, y: number, width: number, height: number): Geometry => ({
	type: "bbox",
	x: Math.round(x),
	y: Math.round(y),
	width: Math.round(width),
	height: Math.round(height),
});

function building(x: number, random: Random): Drawn {
	const [width, height] = [150 + random() * 140, 210 + random() * 250];
	const y = HORIZON + 90 - height;
	let windows = "";
	for (let wy = y + 26; wy < HORIZON - 10; wy += 64) {
		for (let wx = x + 20; wx < x + width - 40; wx += 54) {
			windows += `<rect x="${wx}" y="${wy}" width="30" height="40" fill="${random() < 0.25 ? "#f2dc9c" : "#4d5a66"}"/>`;
		}
	}
	return {
		thing: "building",
		geometry: box(x, y, width, height),
		svg: `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${pick(WALLS, random)}"/>${windows}`,
	};
}

function tree(x: number, random: Random): Drawn {
	const radius = 70 + random() * 40;
	const y = HORIZON - 40 - radius * 0.4;
	const ring: [number, number][] = [];
	for (let n = 0; n < 14; n++) {
		const angle = (n / 14) * Math.PI * 2;
		const reach = radius * (0.86 + random() * 0.26);
		ring.push([Math.round(x + Math.cos(angle) * reach), Math.round(y + Math.sin(angle) * reach)]);
	}
	return {
		thing: "tree",
		geometry: { type: "polygon", rings: [ring] },
		svg: `<rect x="${x - 9}" y="${y}" width="18" height="${HORIZON + 110 - y}" fill="#5b4636"/><polygon points="${ring.join(" ")}" fill="#4c7a4a" stroke="#4c7a4a" stroke-width="10" stroke-linejoin="round"/>`,
	};
}

function sign(x: number): Drawn {
	const y = HORIZON - 20;
	const ring: [number, number][] = [];
	for (let n = 0; n < 8; n++) {
		const angle = ((n + 0.5) / 8) * Math.PI * 2;
		ring.push([Math.round(x + Math.cos(angle) * 34), Math.round(y + Math.sin(angle) * 34)]);
	}
	return {
		thing: "sign",
		geometry: { type: "polygon", rings: [ring] },
		svg: `<rect x="${x - 4}" y="${y}" width="8" height="160" fill="#8b8f94"/><polygon points="${ring.join(" ")}" fill="#c2362e" stroke="#f4f1ec" stroke-width="5"/>`,
	};
}

function car(x: number, random: Random): Drawn {
	const [width, height] = [260 + random() * 80, 96];
	const y = 770 + random() * 150;
	const wheel = (at: number) =>
		`<circle cx="${at}" cy="${y + height}" r="27" fill="#1d1f22"/><circle cx="${at}" cy="${y + height}" r="12" fill="#9aa0a6"/>`;
	return {
		thing: "car",
		geometry: box(x, y - 58, width, height + 85),
		svg: `<path d="M${x + width * 0.2} ${y} q 22 -58 60 -58 h ${width * 0.28} q 40 0 66 58 z" fill="#2b3640"/><rect x="${x}" y="${y}" width="${width}" height="${height}" rx="30" fill="${pick(PAINTS, random)}"/><rect x="${x + 8}" y="${y + 22}" width="26" height="16" rx="8" fill="#f7eec6"/>${wheel(x + width * 0.22)}${wheel(x + width * 0.78)}`,
	};
}

function person(x: number, random: Random): Drawn {
	const y = HORIZON + 20 + random() * 20;
	return {
		thing: "person",
		geometry: box(x - 24, y - 20, 48, 152),
		svg: `<circle cx="${x}" cy="${y}" r="18" fill="#c99a79"/><rect x="${x - 22}" y="${y + 18}" width="44" height="64" rx="16" fill="${pick(PAINTS, random)}"/><rect x="${x - 16}" y="${y + 74}" width="13" height="56" rx="6" fill="#2d3136"/><rect x="${x + 3}" y="${y + 74}" width="13" height="56" rx="6" fill="#2d3136"/>`,
	};
}
