import type { GeometryOf, Kind } from "./kind";

/** Of the whole image: there is nothing to point at. */
export const tag: Kind<GeometryOf<"tag">> = {
	bounds: () => null,
	touches: () => false,
	moved: (geometry) => geometry,
	handles: () => [],
	withHandleAt: (geometry) => geometry,
};
