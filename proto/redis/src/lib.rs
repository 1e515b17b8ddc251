//! What Metrifold keeps in Redis: keys, blobs and scripts as pure data and codecs.
