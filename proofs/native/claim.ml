(* A certificate's second line: of which network it is, the box of inputs, the class, and what of ties. As checking/claims.py. Trusted. *)
open Json
open Checker

type t = { label : int; boxes : (d * d) list; low : d list; high : d list; ties : bool; told : string }

(* as Python's float.hex writes a number; at most 53 bits, so that nothing is rounded *)
let of_hex name word =
  let digits from til accepted =
    from < til && (let rec go i = i >= til || (accepted word.[i] && go (i + 1)) in go from) in
  let decimal = function '0' .. '9' -> true | _ -> false in
  let hexadecimal = function '0' .. '9' | 'a' .. 'f' -> true | _ -> false in
  let length = String.length word in
  let start = if length > 0 && word.[0] = '-' then 1 else 0 in
  let proper = match String.index_opt word 'p' with
    | Some p ->
        p - start >= 5 && p - start <= 17 && length - p <= 6 && length > p + 2
        && String.sub word start 2 = "0x" && (word.[start + 2] = '0' || word.[start + 2] = '1') && word.[start + 3] = '.'
        && digits (start + 4) p hexadecimal && (word.[p + 1] = '+' || word.[p + 1] = '-') && digits (p + 2) length decimal
    | None -> false in
  if not proper then refuse (Printf.sprintf "%s: got %s, expected a number as 0x1.8p-3" name (short word));
  float_of_string word

let array name claim =
  let given = field name (field "arrays" claim) in
  known name [ "type"; "shape"; "values" ] given;
  let shape = List.map (whole "shape") (list "shape" (field "shape" given)) in
  let value = function Text word -> of_hex name word | _ -> refuse (name ^ ": holds other numbers than floats") in
  let values = Array.of_list (List.map value (list "values" (field "values" given))) in
  if Array.length values <> Tensors.product shape then refuse (name ^ ": has another shape than numbers");
  (match text "type" given with
   | "float64" -> ()
   | "float32" ->
       let held f = Float.equal (Int32.float_of_bits (Int32.bits_of_float f)) f in
       if not (Array.for_all held values) then refuse (name ^ ": holds a number that is none of float32")
   | other -> refuse (Printf.sprintf "%s: no rule for type %s" name (short other)));
  (shape, values)

(* as Statement.point: of the sample's shape and numbers *)
let point shape values =
  let buffer = Buffer.create 1024 in
  Buffer.add_string buffer (Tensors.tuple shape);
  Array.iter (fun f -> Buffer.add_int64_le buffer (Int64.bits_of_float (f +. 0.0))) values;
  Sha256.hex [ (Buffer.contents buffer, 0, Buffer.length buffer) ]

type opened = { claim : Json.t; shape : int list; sample : Float.t array }

(* the network's shapes are those of the claim's sample *)
let opened line digest =
  let claim = Json.parse line in
  known "a claim" [ "network"; "label"; "norm"; "lower"; "upper"; "ties"; "note"; "arrays" ] claim;
  if text "network" claim <> digest then refuse "is about another network: its hash is not that of the model";
  known "arrays" [ "sample"; "radius" ] (field "arrays" claim);
  (match optional "norm" claim with
   | None | Some (Text "linf") -> ()
   | Some (Text other) -> refuse ("no rule for norm " ^ short other)
   | Some _ -> refuse "norm: expected a text");
  let shape, sample = array "sample" claim in
  { claim; shape; sample }

let box { claim; shape; sample } =
  let own, radius = array "radius" claim in
  if own <> [ 1 ] && own <> shape then refuse "sample, radius: have shapes that do not fit";
  if Array.exists (fun r -> r < 0.0) radius then refuse "radius: got a negative number";
  let exact = Maps.exact in
  let lower = exact "lower" (number "lower" (field "lower" claim)) and upper = exact "upper" (number "upper" (field "upper" claim)) in
  let reach i = exact "radius" radius.(if Array.length radius = 1 then 0 else i) in
  let boxes = List.mapi (fun i x -> box_of (exact "sample" x) (reach i) lower upper) (Array.to_list sample) in
  if not (List.for_all inhabited boxes) then refuse "box: holds no input at all";
  let least = Array.fold_left min infinity radius and most = Array.fold_left max 0.0 radius in
  (boxes, if least = most then Printf.sprintf "%.9g" least else Printf.sprintf "%.9g to %.9g" least most)

let read opened (network : Network.t) =
  let { claim; shape; sample } = opened in
  let label = whole "label" (field "label" claim) and classes = classes network.machine in
  if classes < 2 then refuse "is about a network with one output: no other class could win, and nothing is proven";
  if label < 0 || label >= classes then refuse "label: is no class";
  let ties = match optional "ties" claim with
    | None | Some (Text "strict") -> false
    | Some (Text "argmax") -> true
    | _ -> refuse "ties: expected argmax or strict" in
  let boxes, radius = box opened in
  let told = Printf.sprintf "class %d within %s of sample %s, ties %s, network %s" label radius (point shape sample)
    (if ties then "argmax" else "strict") network.digest in
  { label; boxes; low = List.map fst boxes; high = List.map snd boxes; ties; told }
