/** Brings a picture from its address to pixels that can be drawn at once. */

/** Rejects when it cannot be had or is no picture. */
export async function loadPicture(url: string): Promise<ImageBitmap> {
	const image = new Image();
	image.decoding = "async";
	image.src = url;
	await image.decode();
	// An image element may drop its pixels and decode again in the middle of a drag; a bitmap keeps them.
	return createImageBitmap(image);
}
